"""Rules about the scheduler."""
