"""The engine of Locust users, in a process of their own."""
