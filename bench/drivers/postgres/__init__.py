"""Postgres, for both engines."""
