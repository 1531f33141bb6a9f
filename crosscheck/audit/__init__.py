"""The audit: each of the paper's equations on trial by itself, under both readings."""
