"""Who is told of a handoff, when, and in which words."""
