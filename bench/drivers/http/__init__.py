"""HTTP, for both engines."""
