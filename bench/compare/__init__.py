"""Runs against earlier runs of the same scenario: what became slower, and whether that can be told."""
