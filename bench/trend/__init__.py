"""A folder of nights: where the level of a figure changed, and whether that is confirmed."""
