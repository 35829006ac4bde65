"""What made the tail of a run: ranked causes with the measured share of each, from what the run kept."""
