"""Reports of a run, a format a file."""
