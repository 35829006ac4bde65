"""Which runs are compared: complete ones that are not INVALID, and what two of them must share."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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
    record = run.record
    return Form(
        run.scenario,
        record.plan.quick,
        tuple(sorted(record.plan.overrides)),
        record.stack.kind or "unknown",
        max(1, len(record.workers)),
    )


def obstacles(before: Run, after: Run) -> list[str]:
    """Why the figures of `before` say nothing about `after`, in words; none when they can be compared."""
    earlier, now = _conditions(form_of(before)), _conditions(form_of(after))
    found = [
        f"another {name} ({earlier[name]}, now {shown})"
        for name, shown in now.items()
        if earlier[name] != shown
    ]
    if before.record.scenario.digest != after.record.scenario.digest:
        found.append("the scenario's file was changed")
    seeds = [run.record.plan.seed for run in (before, after)]
    if seeds[0] != seeds[1]:
        found.append(f"another seed ({seeds[0]}, now {seeds[1]})")
    keys = [run.record.environment.key for run in (before, after)]
    return found + [
        f"another machine ({name}: {keys[0].get(name)}, now {keys[1].get(name)})"
        for name in sorted({*keys[0], *keys[1]})
        if keys[0].get(name) != keys[1].get(name)
    ]


def notes(before: Run, after: Run) -> list[str]:
    """What else is different and may be the reason of a change: versions of the servers and of Holdfast."""
    found = []
    servers = [
        {target.name: target.version for target in run.record.stack.targets} for run in (before, after)
    ]
    for name in servers[1]:
        old, new = servers[0].get(name), servers[1][name]
        if old and new and old != new:
            found.append(f"{name} was {old}, is {new}")
    versions = [run.record.holdfast for run in (before, after)]
    if versions[0] != versions[1]:
        found.append(f"Holdfast was {versions[0]}, is {versions[1]}")
    return found


def _conditions(form: Form) -> dict[str, str]:
    return {
        "form": "quick" if form.quick else "standard",
        "values of --set": " ".join(form.overrides) or "none",
        "stack": form.stack,
        "number of workers": str(form.workers),
    }


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

    A damaged run among others is listed, not raised: one broken night must not hide the rest.
    """
    below = layout.run_folders(path)
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
