"""Rules about goroutines."""
