"""Rule file texts to values, or to every problem in them at once."""
