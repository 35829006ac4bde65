"""The engine of Locust users, in a separate process."""
