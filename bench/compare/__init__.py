"""Runs against earlier runs of the same scenario: what became slower, and whether that is certain."""
