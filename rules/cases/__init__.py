"""Tests of rule files: conversations turn by turn, run with a clock of their own."""
