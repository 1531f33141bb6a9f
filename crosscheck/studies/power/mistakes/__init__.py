"""Gradients that are wrong in no known way, and whether a mistake shows."""
