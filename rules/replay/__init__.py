"""Recorded conversations judged again: turn by turn, or all at once in columns."""
