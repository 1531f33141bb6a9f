"""How fast it is, side by side with other libraries."""
