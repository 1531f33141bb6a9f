"""Processes that engines run in, watched."""
