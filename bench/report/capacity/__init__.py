"""The report of a search for the capacity: in a terminal, as a page, and in Markdown."""
