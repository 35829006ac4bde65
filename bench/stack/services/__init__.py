"""Services that we start ourselves: programs, folders, ports."""
