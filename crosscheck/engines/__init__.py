"""Engines: interchangeable ways to compute the gradient of a case, one file a family."""
