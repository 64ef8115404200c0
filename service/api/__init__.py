"""The edge for programs: JSON in, a flow, JSON out. Nothing is decided here."""
