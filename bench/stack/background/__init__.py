"""A stack that stays up between commands."""
