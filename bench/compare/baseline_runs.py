"""Which runs are compared: complete ones that are not INVALID, and what two of them must share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.judge.verdict import Status, Verdict, saved
from bench.results import layout
from bench.results.ownership import is_under_way
from bench.results.reader import Run


class Form(NamedTuple):
    """What of a scenario was run: runs of another form have other loads or another system."""

    scenario: str
    quick: bool
    overrides: tuple[str, ...]
    stack: str
    workers: int

    def __str__(self) -> str:
        words = ["quick"] if self.quick else []
        words += [f"--set {one}" for one in self.overrides]
        if self.stack not in ("embedded", "unknown"):
            words.append(self.stack)
        if self.workers > 1:
            words.append(f"{self.workers} workers")
        return f"{self.scenario} ({', '.join(words)})" if words else self.scenario


def form_of(run: Run) -> Form:
    """The form of a run, by its record."""
    plan = _section(run, "plan")
    workers = run.record.get("workers")
    return Form(
        run.scenario,
        bool(plan.get("quick")),
        tuple(sorted(str(one) for one in plan.get("overrides") or ())),
        str(_section(run, "stack").get("kind", "unknown")),
        max(1, len(workers)) if isinstance(workers, list) else 1,
    )


def obstacles(before: Run, after: Run) -> list[str]:
    """Why the figures of `before` say nothing about `after`, in words; none when they can be compared."""
    found = []
    earlier, now = form_of(before), form_of(after)
    for name, is_other in (
        ("form", earlier.quick != now.quick),
        ("values of --set", earlier.overrides != now.overrides),
        ("stack", earlier.stack != now.stack),
        ("number of workers", earlier.workers != now.workers),
    ):
        if is_other:
            found.append(f"another {name} ({_shown(earlier, name)}, now {_shown(now, name)})")
    if _section(before, "scenario").get("digest") != _section(after, "scenario").get("digest"):
        found.append("the scenario's file was changed")
    seeds = [_section(run, "plan").get("seed") for run in (before, after)]
    if seeds[0] != seeds[1]:
        found.append(f"another seed ({seeds[0]}, now {seeds[1]})")
    keys = [_section(run, "environment").get("key") or {} for run in (before, after)]
    return found + [
        f"another machine ({name}: {keys[0].get(name)}, now {keys[1].get(name)})"
        for name in sorted({*keys[0], *keys[1]})
        if keys[0].get(name) != keys[1].get(name)
    ]


def notes(before: Run, after: Run) -> list[str]:
    """What else is different and may be the reason of a change: versions of the servers and of Holdfast."""
    found = []
    servers = [
        {str(t.get("name")): t.get("version") for t in _section(run, "stack").get("targets") or ()}
        for run in (before, after)
    ]
    for name in servers[1]:
        old, new = servers[0].get(name), servers[1][name]
        if old and new and old != new:
            found.append(f"{name} was {old}, is {new}")
    versions = [str(run.record.get("holdfast", "unknown")) for run in (before, after)]
    if versions[0] != versions[1]:
        found.append(f"Holdfast was {versions[0]}, is {versions[1]}")
    return found


def _shown(form: Form, name: str) -> str:
    return {
        "form": "quick" if form.quick else "standard",
        "values of --set": " ".join(form.overrides) or "none",
        "stack": form.stack,
        "number of workers": str(form.workers),
    }[name]


def _section(run: Run, name: str) -> Any:
    return run.record.get(name) or {}


@dataclass(frozen=True)
class Candidate:
    """A run with its verdict."""

    run: Run
    verdict: Verdict

    @property
    def unusable(self) -> str | None:
        """Why its figures mean nothing; None when they do."""
        if not self.run.is_complete:
            ended = "has not ended yet" if is_under_way(self.run.path) else "was interrupted"
            return f"{self.run.name} {ended}"
        if self.verdict.status is Status.INVALID:
            because = next(c.because for c in self.verdict.checks if c.status is Status.INVALID)
            return f"{self.run.name} is INVALID: {because}"
        try:
            self.run.tags()
        except ResultError as error:
            return str(error)
        return None


@dataclass(frozen=True)
class Candidates:
    """The runs of a path by their form, oldest first; `damaged` says what could not be read."""

    path: Path
    by_form: dict[Form, list[Candidate]]
    damaged: list[str]
    is_one_run: bool


def candidates(path: Path) -> Candidates:
    """The run in folder `path`, or every run right below it. Raises ResultError where there is none.

    A damaged run among others is told, not raised: one broken night must not hide the rest.
    """
    below = sorted(record.parent for record in path.glob(f"*/{layout.RECORD}"))
    if (path / layout.RECORD).exists() or path.name == layout.RECORD or not below:
        run = Run.load(path)
        return Candidates(path, {form_of(run): [_candidate(run)]}, [], is_one_run=True)
    by_form: dict[Form, list[Candidate]] = {}
    damaged = []
    for folder in below:
        try:
            found = _candidate(Run.load(folder))
        except ResultError as error:
            damaged.append(str(error))
            continue
        by_form.setdefault(form_of(found.run), []).append(found)
    return Candidates(path, by_form, damaged, is_one_run=False)


def _candidate(run: Run) -> Candidate:
    return Candidate(run, saved(run.path) or judge(run))
