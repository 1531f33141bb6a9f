"""Gradients of any function: programs, their exact derivative, and what rounding may do to them."""
