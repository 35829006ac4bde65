"""Statistics of samples, pure: no run, no file, no clock."""
