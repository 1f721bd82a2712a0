"""Rules about the kernel's network."""
