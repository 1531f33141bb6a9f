"""A sweep over processes, machines and time."""
