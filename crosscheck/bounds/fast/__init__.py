"""The same bounds for many networks at once."""
