"""A recorded run, and what another is held to by it."""
