"""Reports: rows in, a text or a file out; one file a format."""
