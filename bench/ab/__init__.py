"""Two variants of one system, measured in pairs of runs: whether one is slower, and by how much at least."""
