"""The mathematics of definitions: value and two derivatives in balls."""
