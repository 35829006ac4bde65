"""The process in which Locust users run."""
