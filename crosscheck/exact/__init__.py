"""Enclosures of the exact gradient of a network."""
