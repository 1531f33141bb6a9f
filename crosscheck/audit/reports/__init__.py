"""The audit's reports, a format a file."""
