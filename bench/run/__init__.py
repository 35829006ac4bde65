"""One run: from a compiled plan to a run folder."""
