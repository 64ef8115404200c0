"""Where a handoff waits, who may take it, how urgent it is, and how long it will probably wait."""
