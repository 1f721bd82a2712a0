"""Rules about HTTP connections."""
