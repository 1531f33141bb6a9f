"""Studies of the checker itself: its speed, its power, the atlas."""
