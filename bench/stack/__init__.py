"""The system under test: its services, started by us or named by the user."""
