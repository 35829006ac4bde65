"""What a command says when it fails, and its exit code: the same for `bench` and for its agents."""

from __future__ import annotations

from bench.errors import ExitCode, HoldfastError, ScenarioError

BUG = "bench: this is a bug in Holdfast; the lines above say where."


def failure_of(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error; BUG for one that is ours, whose traceback is then shown."""
    if isinstance(error, ScenarioError):
        return str(error), error.exit_code  # one problem a line, each beginning with its place, for editors
    if isinstance(error, HoldfastError):
        return f"bench: {error}", error.exit_code
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return (
            f"bench: {place}expected to be able to use it, found '{error.strerror}'; "
            "check the path, its rights and the limits of this shell (bench doctor shows them)"
        ), ExitCode.USAGE
    return BUG, ExitCode.BUG
