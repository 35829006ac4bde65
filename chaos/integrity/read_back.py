"""Reading a target back after it was healed: with patience, and never for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from bench.core.clock import NS_PER_S, monotonic_ns

Read = TypeVar("Read")

ANSWER_S = 10.0
"""How long a target that was to be healed may go on refusing us, and how long one answer may take."""
WHOLE_S = 120.0
"""How long all of it may take."""
PAUSE_S = 0.05
LEAST_S = 1.0
"""What a check is given at least, where others before it have waited for the same target."""


class Unreadable(Exception):  # noqa: N818 - states a fact about the target
    """It could not be read back; the text says why, and completes "not checked: ..."."""


class NotYet(Exception):  # noqa: N818 - never leaves a reading
    """The target does not serve yet, or broke off; another try may help."""


class Patience:
    """How long a target may still refuse: one time for all who wait, so that a dead one ends the run soon."""

    def __init__(self) -> None:
        self._begun_ns = monotonic_ns()

    def left_s(self) -> float:
        """Seconds, for who begins to wait now."""
        gone_s = (monotonic_ns() - self._begun_ns) / NS_PER_S
        return max(ANSWER_S - gone_s, min(LEAST_S, ANSWER_S))


def patiently(read: Callable[[], Read], patience: Patience | None = None) -> Read:
    """Read, again after NotYet for as long as there is patience (None: ANSWER_S). Raises Unreadable.

    It runs in a thread of its own that is left behind when a client library does not come back.
    """
    wait_s = (patience or Patience()).left_s()
    found: list[Read] = []
    failures: list[BaseException] = []
    given_up = threading.Event()

    def run() -> None:
        give_up_ns = monotonic_ns() + int(wait_s * NS_PER_S)
        while not given_up.is_set():
            try:
                found.append(read())
            except NotYet as reason:
                if monotonic_ns() > give_up_ns:
                    failures.append(Unreadable(f"{reason}, for {wait_s:.3g} s"))
                    return
                time.sleep(PAUSE_S)
            except BaseException as failure:  # noqa: BLE001 - raised again where it was asked for
                failures.append(failure)
                return
            else:
                return

    thread = threading.Thread(target=run, name="read-back", daemon=True)
    thread.start()
    thread.join(WHOLE_S)
    given_up.set()
    if failures:
        raise failures[0]
    if not found:
        raise Unreadable(f"it was not read to its end within {WHOLE_S:g} s")
    return found[0]
