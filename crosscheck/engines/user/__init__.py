"""A user's function as an engine: found, loaded, contained."""
