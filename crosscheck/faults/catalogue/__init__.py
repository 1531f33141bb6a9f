"""The catalogue of mistakes, a family a file."""
