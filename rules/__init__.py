"""What should happen: text and values in, values out. No input or output, no clock, no chance, no framework."""
