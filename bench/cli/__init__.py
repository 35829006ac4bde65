"""The command line: each command one call into the library; the only place that prints or exits."""
