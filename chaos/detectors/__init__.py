"""Detectors: who notices that a target is away, each on its own, on the run's clock."""
