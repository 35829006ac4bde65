"""`bench init`: from what a user has to files that validate and run."""
