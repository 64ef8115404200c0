"""The `handrail` command for people at a terminal: arguments in, a flow or a pure function, text or JSON out."""
