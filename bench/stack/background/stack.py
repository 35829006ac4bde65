"""The stack that `bench stack up` has left running, as a run uses it: ours, but not ours to end."""

import contextlib
import json
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import Any, Self

from bench.stack.background.state import BackgroundStack
from bench.stack.embedded import with_needs
from bench.stack.probes.health import ask, health_rows
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target

LIVES = ("started", "restarted", "died", "ended")


class AttachedStack:
    """Embedded services under a keeper. They may be killed, for they are ours; they outlive the run."""

    kind = "embedded"

    def __init__(self, kept: BackgroundStack, needed: AbstractSet[str]) -> None:
        self._kept = kept
        self._used = with_needs(needed)

    def start(self) -> None:
        """Check that the targets answer. Raises TargetError."""
        for target in self.targets().values():
            ask(target)

    def targets(self) -> dict[str, Target]:
        """The needed targets, and those that they need themselves."""
        return {target.name: target for target in self._kept.targets if target.name in self._used}

    def describe(self) -> list[dict[str, Any]]:
        """What runs, with the process ids of now."""
        pids = _pids(self.events())
        return [
            {**entry, "pid": (pid := pids.get(str(entry["name"]))), "state": "down" if pid is None else "up"}
            for entry in self._kept.described
            if entry["name"] in self._used
        ]

    def health(self) -> list[dict[str, Any]]:
        """How each target is now: see health_rows."""
        return health_rows(self.targets().values())

    def events(self) -> list[StackEvent]:
        """What happened to the services since the stack was started, oldest first."""
        found = []
        for path in self._kept.logs.glob("*events*.jsonl"):
            with contextlib.suppress(OSError):
                # Up to the last line's end: a line may be only half written.
                lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
                found += [StackEvent(**json.loads(line)) for line in lines]
        return sorted(
            (event for event in found if event.service in (None, *self._used)), key=lambda event: event.at_ns
        )

    def stop(self) -> None:
        """Nothing: the stack stays up until `bench stack down`."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _pids(events: list[StackEvent]) -> dict[str, int]:
    """Service -> the process that it is now; services that are down are left out."""
    pids: dict[str, int] = {}
    for event in events:
        if event.service is None or event.kind not in LIVES:
            continue
        if event.kind in ("started", "restarted") and event.pid is not None:
            pids[event.service] = event.pid
        else:
            pids.pop(event.service, None)
    return pids
