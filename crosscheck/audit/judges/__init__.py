"""Who takes the left side of an equation: balls aside, PyTorch and JAX."""
