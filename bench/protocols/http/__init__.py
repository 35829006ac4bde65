"""HTTP/1.1 as a scanner over bytes."""
