"""The atlas: the derivative of each function of PyTorch and JAX, and the defects in it."""
