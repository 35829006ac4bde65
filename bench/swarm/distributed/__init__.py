"""One run over several workers."""
