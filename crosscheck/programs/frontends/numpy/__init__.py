"""The front end for NumPy, and for HIPS autograd on top of it."""
