"""The end of a test as Locust makes it: its last events, and the exit code that a locustfile may set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import gevent
from locust import log
from locust.env import Environment
from locust.exception import StopTest

LOCUST_FAILED = 2
"""What Locust ends with when an exception left a listener."""


class UsersEnvironment(Environment):
    """Remembers who set the exit code, so that a run which it fails can say by what."""

    exit_set_by = ""

    @property
    def process_exit_code(self) -> int | None:
        """What Locust would end with; None leaves it to Locust."""
        return self.__dict__.get("_exit_code")

    @process_exit_code.setter
    def process_exit_code(self, code: int | None) -> None:
        self.__dict__["_exit_code"] = code
        if code is not None:
            frame = sys._getframe(1)
            place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            self.exit_set_by = f"{frame.f_code.co_name} ({place})"


def quit_as_locust(environment: UsersEnvironment, patience_s: float) -> tuple[int, str]:
    """Fire the last events; the exit code that the locustfile asks for, and by what (0 for none)."""
    events: Any = environment.events
    left = ""
    with gevent.Timeout(patience_s, False):
        try:
            events.quitting.fire(environment=environment, reverse=True)
        except SystemExit as ended:
            environment.process_exit_code = (
                ended.code if isinstance(ended.code, int) else int(bool(ended.code))
            )
            environment.exit_set_by = "sys.exit in a listener of events.quitting"
        except StopTest:
            pass  # there is none to stop any more
    code = environment.process_exit_code
    if code is None and log.unhandled_greenlet_exception:
        code, left = LOCUST_FAILED, "an exception that left a listener or a greenlet of its own"
    with gevent.Timeout(patience_s, False):
        events.quit.fire(exit_code=code or 0)
    try:
        return int(code or 0), left or environment.exit_set_by
    except (TypeError, ValueError):
        return 1, environment.exit_set_by
