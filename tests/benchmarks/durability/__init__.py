"""Measurements that need long or many faults."""
