"""What two runs must share so that their numbers may stand on one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.results.reader import Run

Form = tuple[tuple[str, str], ...]

NONE, ALONE = "none", "one process"
SHORT = 8
"""Of a digest: enough to tell two apart."""


def form_of(run: Run) -> Form:
    """The things a run must share with another one, each as (name, text for people).

    Versions of the targets are none of them: how an upgrade shows is what the line is for.
    """
    record = run.record
    plan = record.get("plan", {})
    machine = record.get("environment", {}).get("key", {})
    return (
        ("length", "quick" if plan.get("quick") else "standard"),
        ("scenario text", str(record.get("scenario", {}).get("digest", "unknown"))[:SHORT]),
        ("changed values", ", ".join(map(str, plan.get("overrides", []))) or NONE),
        ("stack", str(record.get("stack", {}).get("kind", "unknown"))),
        ("machine", _told(machine)),
        ("load from", _sources(record.get("workers"))),
    )


def differences(form: Form, other: Form) -> list[str]:
    """In which of these things two runs differ; empty when they may be compared."""
    theirs = dict(other)
    return [name for name, text in form if theirs.get(name) != text]


def described(form: Form, names: Sequence[str] | None = None) -> str:
    """As in "length quick, stack embedded"; of `names` only, where given, else what is worth a word."""
    usual = {("changed values", NONE), ("load from", ALONE)}
    wanted = [one for one in form if (one[0] in names if names is not None else one not in usual)]
    return ", ".join(f"{name} {text}" for name, text in wanted)


def _told(machine: dict[str, object]) -> str:
    known = {name: value for name, value in machine.items() if value is not None}
    if all(isinstance(value, str | int | float) for value in known.values()):
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in known.items()) or "unknown"
    return json.dumps(known, sort_keys=True)


def _sources(workers: object) -> str:
    count = len(workers) if isinstance(workers, list) else 0
    return ALONE if count == 0 else f"{count} worker{'s' if count > 1 else ''}"
