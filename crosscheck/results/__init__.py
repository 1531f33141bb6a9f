"""What a run leaves: rows, counts, files, and the baseline that they are held to."""
