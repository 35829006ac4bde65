"""What people and programs read: each report is a function of a run on disk and its verdict."""
