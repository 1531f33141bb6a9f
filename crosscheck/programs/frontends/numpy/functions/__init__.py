"""What NumPy's functions are in primitives, by family."""
