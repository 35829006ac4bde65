"""Each path to a target broken in each way, one short run for each: a table of what that does to the load."""
