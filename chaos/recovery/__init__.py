"""When a target was harmed and when it was back. Pure."""
