"""Processes for the study, and an end to their time."""
