"""How much the checker sees: mistakes caught, mistakes named, false alarms."""
