"""Agents that hand work to agents: who had it, where it broke, and where two of them do not agree."""
