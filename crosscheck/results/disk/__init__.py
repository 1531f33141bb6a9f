"""Files and JSON that are as they should be."""
