"""Whether a service answers, asked in its own protocol."""
