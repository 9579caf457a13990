"""Counts of clips held against their truth."""
