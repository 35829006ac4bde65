"""Faults, detection, recovery and integrity. It imports from `bench`, never the reverse.

This is the seam only: a scenario's `faults` are refused until the conductor lands here.
"""
