"""Reads the Go runtime of a live process from its memory: goroutines, who waits on what, who holds which connection."""
