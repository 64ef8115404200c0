"""What an operator sees of a handoff, built without a model."""
