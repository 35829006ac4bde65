"""Measuring the harness itself: a built-in server whose delays are known exactly."""
