"""What a correct evaluation of a network's gradient may be off by."""
