"""The verdict on a gradient, and what a row says of it."""
