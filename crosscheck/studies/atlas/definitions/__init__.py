"""Tables of functions by family: a module a family, which has DEFINITIONS."""
