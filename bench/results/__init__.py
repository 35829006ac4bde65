"""A run on disk: the only thing that judge and report read. `results/FORMAT.md` documents it."""
