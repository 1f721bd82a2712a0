"""Rules about descriptor leaks."""
