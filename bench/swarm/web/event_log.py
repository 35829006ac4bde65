"""Events of a run as lines for people; many of one kind in a row become one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.core import units

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 200
TOLD = ("name", "what", "target", "service", "detector", "workload", "text", "detail")
"""Fields of an event that say what it was about, in the order of a sentence."""


class EventLog:
    """The latest events."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def add(self, event: Mapping[str, Any]) -> None:
        """One entry of events.jsonl."""
        what = str(event["kind"]).replace("_", " ")
        details: dict[str, None] = {}
        for field in TOLD:
            if event.get(field) not in (None, ""):
                details[str(event[field])] = None
        at_ns, about = event["at_ns"], ", ".join(details)
        last = self._rows[-1] if self._rows else None
        if last is not None and (last["what"], last["about"]) == (what, about):
            last["times"] += 1
            last["until_ns"] = at_ns
            return
        self._rows.append({"at_ns": at_ns, "until_ns": at_ns, "what": what, "about": about, "times": 1})
        del self._rows[:-MOST]

    def rows(self) -> list[dict[str, str]]:
        """Texts, the latest first: what happened is often noticed later than what came after it."""
        return [
            {
                "at": _when(row),
                "what": row["what"] if row["times"] == 1 else f"{row['what']}, {row['times']} times",
                "about": row["about"],
            }
            for row in sorted(self._rows, key=lambda row: -row["at_ns"])
        ]


def _when(row: Mapping[str, Any]) -> str:
    first = units.format_duration_ns(row["at_ns"])
    return first if row["times"] == 1 else f"{first} to {units.format_duration_ns(row['until_ns'])}"
