"""The shell around the rules: edges translate, flows read, think and write, the store remembers."""
