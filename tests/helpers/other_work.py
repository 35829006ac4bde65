"""Runs of tests on a machine that others use too: repeated where their own record says that it was others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bench.compare.comparison import held_up
from bench.judge.judge import judge
from bench.results.reader import Run

Found = TypeVar("Found")

TRIES = 3


def names_others(checks: Iterable[dict[str, Any]], run: Run) -> bool:
    """Whether a run is INVALID, and each reason names other work on the machine.

    A reason that is the generator's own lateness counts where the record says that others held the run up.
    """
    reasons = [str(check["because"]) for check in checks if check["status"] == "INVALID"]
    return bool(reasons) and all(
        "others used" in reason or ("generator" in reason and held_up(run) is not None) for reason in reasons
    )


def is_excused(folder: Path) -> bool:
    """Whether a run folder's verdict says INVALID for nothing but other work on this machine."""
    run = Run.load(folder)
    verdict = folder / "verdict.json"
    told = json.loads(verdict.read_text(encoding="utf-8")) if verdict.exists() else judge(run).to_json()
    return told["status"] == "INVALID" and names_others(told["checks"], run)


def was_held_up(folder: Path) -> bool:
    """Whether others had the processors for a part of a run, by what it recorded of waiting for them."""
    return held_up(Run.load(folder)) is not None


def undisturbed(
    attempt: Callable[[], Found],
    is_disturbed: Callable[[Found], bool],
) -> Found:
    """What the first of three attempts gave that others did not disturb; skips where they disturbed all."""
    for _ in range(TRIES):
        found = attempt()
        if not is_disturbed(found):
            return found
    pytest.skip(f"others held up {TRIES} runs in a row on this machine, as each of them says")
