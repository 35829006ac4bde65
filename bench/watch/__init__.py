"""Weeks of light load: what was promised over days, what is left of it, and what happened meanwhile."""
