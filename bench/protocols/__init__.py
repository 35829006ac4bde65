"""Scanners: bytes in, replies out; no socket, no clock, no allocation."""
