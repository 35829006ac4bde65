"""What a scenario's item says: on the terminal when it did not pass, in JUnit's properties always."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bench.judge.status import Status, worst

if TYPE_CHECKING:
    from pathlib import Path

    from bench.judge.verdict import Check, Verdict

MEANINGS = {
    Status.FAIL: "",
    Status.INCONCLUSIVE: " (the run cannot tell: neither passed nor failed)",
    Status.INVALID: " (the run says nothing about the system)",
}


class NotPassed(Exception):  # noqa: N818 - what happened is the name
    """Checks that are neither PASS nor WARN, in sentences."""

    def __init__(self, checks: list[Check], folder: Path) -> None:
        ordered = sorted(checks, key=lambda check: -check.status)
        super().__init__("\n".join([*map(sentence_of, ordered), f"run folder: {folder}"]))


def sentence_of(check: Check) -> str:
    """Status, rule, why, and what to do."""
    subject = check.rule if check.is_rule else check.metric.removeprefix("validity.").replace("_", " ")
    advice = f"\n  -> {check.advice}" if check.advice else ""
    return f"{check.status.name}{MEANINGS.get(check.status, '')}: {subject}: {check.because}{advice}"


class Terminal(Protocol):
    """What of pytest's terminal is needed."""

    def line(self, text: str = "", **markup: bool) -> None:
        """Write a line."""


@dataclass(frozen=True)
class _Place:
    """What pytest's summary and JUnit read: the message of a failure and where it is."""

    path: str
    lineno: int
    message: str


class Told:
    """A text in the form of pytest's own representations."""

    def __init__(self, text: str, path: str, line: int) -> None:
        self._text = text
        self.reprcrash = _Place(path, line, text.partition("\n")[0])

    def toterminal(self, writer: Terminal) -> None:
        """Write the text, its first line set off."""
        first, _, rest = self._text.partition("\n")
        writer.line(first, red=True, bold=True)
        if rest:
            writer.line(rest)

    def __str__(self) -> str:
        return self._text


def properties_of(
    own: Check | None, told: list[Check], verdict: Verdict, folder: Path
) -> list[tuple[str, object]]:
    """The numbers for JUnit and for other plugins: what is not known is left out."""
    status = worst(check.status for check in told) if told else Status.PASS
    known: dict[str, object] = {
        "holdfast_scenario": verdict.scenario,
        "holdfast_verdict": verdict.status.name,
        "status": status.name,
        "run_folder": str(folder),
    }
    if own is not None:
        known |= {
            "rule": own.rule,
            "metric": own.metric,
            "observed": own.observed,
            "limit": own.limit,
            "warn": own.warn,
            "unit": own.unit,
            "samples": own.samples,
            "interval": own.interval and f"{own.interval[0]:g}..{own.interval[1]:g}",
            "because": own.because,
            "advice": own.advice,
        }
    return [(name, value) for name, value in known.items() if value is not None]
