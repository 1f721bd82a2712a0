"""Trace births and deaths of descriptors in the kernel, and name the places where they are made."""
