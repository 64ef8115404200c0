"""What differs between two sets of rule files, in rules and not in lines."""
