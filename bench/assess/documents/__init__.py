"""Evidence of others: documents of other tools and signed statements, read safely and judged."""
