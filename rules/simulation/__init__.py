"""Recorded arrivals played against queues and people, on a virtual clock."""
