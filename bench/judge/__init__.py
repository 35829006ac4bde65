"""Turns a run on disk into a verdict. Pure: no clock, no sockets, no engine."""
