"""What is told of rule files that are well formed: what never fires, decides nothing, or lacks a language or people."""
