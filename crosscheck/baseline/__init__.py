"""The gate: what a run measured is recorded, and later runs are compared with the record."""
