"""A folder of runs at a glance: every run, whatever its state, and how each scenario went over time."""
