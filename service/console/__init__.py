"""EDGE for people: the pages that operators and managers open in a browser. They speak to the JSON API like anybody."""
