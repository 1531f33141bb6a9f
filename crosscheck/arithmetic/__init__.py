"""Number formats, and what an operation in them may be off by."""
