"""What all tests share: the purity guard, the rule for live tests, golden files."""
