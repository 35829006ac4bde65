"""What a scenario must be beyond its form, by subject."""
