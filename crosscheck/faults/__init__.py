"""The catalogue of known mistakes: one file a family, one entry a mistake."""
