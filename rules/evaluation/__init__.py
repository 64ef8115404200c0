"""From a turn's signals to the rules that fire, and to the reasons for it."""
