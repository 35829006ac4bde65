"""Processes kept under supervision, and found again."""
