"""A plan, carried out: cases drawn, engines called, rows made."""
