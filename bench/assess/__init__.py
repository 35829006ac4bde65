"""Is this ready for production? The latest run of every scenario against what must be shown."""
