"""Scenario files: text in, a frozen and checked Scenario out, every problem with its place."""
