"""Detectors notice that a target is unreachable, independently of each other, on the run's clock."""
