"""What a command says when it fails, and its exit code: the same for `bench` and for its agents."""

from __future__ import annotations

from bench.core.errors import ExitCode, HoldfastError, ScenarioError, TargetError
from bench.core.escaping import one_line
from bench.core.own_limits import limit_in, refusal_of, shortage_in

BUG = "bench: this is a bug in Holdfast; the lines above say where."
NO_PLACE = "a file, a pipe or a connection: expected to be able to use it"
"""Standard output on a full disk, for one, is no file with a name."""


def failure_of(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error; BUG for one that is ours, whose traceback is then shown."""
    if isinstance(error, ScenarioError):
        return str(error), error.exit_code  # one problem a line, each beginning with its place, for editors
    if (shortage := shortage_in(error)) is not None:
        error = shortage
    if isinstance(error, TargetError) and (limit := limit_in(error)) is not None:
        error = refusal_of(limit, error.expected)  # it never left this machine
    if isinstance(error, HoldfastError):
        return f"bench: {error}", error.exit_code
    if isinstance(error, OSError):
        place = (
            f"{one_line(str(error.filename))}: expected to be able to use it" if error.filename else NO_PLACE
        )
        return (
            f"bench: {place}, found '{error.strerror or error}'; "
            "check the path, its rights and the limits of this shell (bench doctor shows them)"
        ), ExitCode.USAGE
    return BUG, ExitCode.BUG
