"""What holds for all tests: they share their machine, so none of them is judged by how fast it was."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("shared machine")
