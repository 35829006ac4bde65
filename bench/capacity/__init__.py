"""The highest rate at which all rules of a scenario hold: the search, its probes, and what they showed."""
