"""Containers as the system under test: a stack of our own, or a compose project of the user's."""
