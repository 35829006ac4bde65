"""Faults, detection, recovery and integrity. It imports from `bench`, never the reverse."""
