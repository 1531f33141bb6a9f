"""A function on trial: its rule, its numbers, and where they go wrong."""
