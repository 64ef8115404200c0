"""What stands in a customer's text: topics, personal data, promises, names of things, and where."""
