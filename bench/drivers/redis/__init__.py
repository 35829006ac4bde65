"""Redis, for both engines."""
