"""The public functions check() and gradcheck(), and their reports."""
