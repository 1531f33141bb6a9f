"""What PyTorch's operators are in primitives, by family."""
