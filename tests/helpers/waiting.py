"""Waiting for what must come. A test lets time pass in no other way."""

import time
from collections.abc import Callable
from typing import TypeVar

LONGEST_S = 60.0
"""Far above what anything takes, also on a busy machine: only what never comes meets it."""

COMPILE_S = 180.0
"""The same where the first run of a version compiles."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.02

Value = TypeVar("Value")


def eventually(
    condition: Callable[[], Value], what: str | Callable[[], str], seconds: float = LONGEST_S
) -> Value:
    """Wait until the condition holds and return its value; if it never does, fail with `what`."""
    limit, pause_s = time.monotonic() + seconds, FIRST_PAUSE_S
    while not (value := condition()):
        assert time.monotonic() < limit, f"never: {what if isinstance(what, str) else what()}"
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
    return value
