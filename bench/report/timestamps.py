"""A stamp of the wall clock for people: "2026-02-02 02:40:00 UTC"."""

from __future__ import annotations

from datetime import UTC, datetime


def clock_text(utc: str) -> str:
    """`utc` as in run.json, to the second; as it stands where it is no time."""
    try:
        found = datetime.fromisoformat(utc)
    except ValueError:
        return utc
    return f"{found if found.tzinfo is None else found.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
