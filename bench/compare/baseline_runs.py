"""Which runs of a path take part: complete ones that their own verdict does not call INVALID."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.compare.conditions import Form, form_of
from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.judge.status import Status
from bench.judge.verdict import Verdict, saved
from bench.results import layout
from bench.results.owner import is_under_way
from bench.results.reader import Run


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
