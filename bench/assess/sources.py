"""What an assessment reads: the runs of a results folder, newest first, and the scenario files as they are
today.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.capacity.record import PAGE_SUFFIX, SUFFIX, CapacityRecord, load, searches_in
from bench.core.clock import NS_PER_S
from bench.core.errors import ResultError, ScenarioError
from bench.core.units import counted
from bench.results import layout
from bench.results.reader import Run
from bench.scenario.load import discover, load_scenario
from bench.scenario.source import file_name


@dataclass(frozen=True)
class Damaged:
    """A run folder that says nothing, and why."""

    path: Path
    reason: str

    @property
    def scenario(self) -> str | None:
        """The one in the folder's name, if it has one."""
        match = layout.RUN_NAME.fullmatch(self.path.name)
        return match["scenario"] if match else None


@dataclass(frozen=True)
class FoundSearch:
    """A search for the capacity that has ended, and has found a rate."""

    file: Path
    record: CapacityRecord

    @property
    def shown(self) -> Path:
        """What a link leads to: its page, where there is one."""
        page = self.file.with_name(self.file.name.removesuffix(SUFFIX) + PAGE_SUFFIX)
        return page if page.exists() else self.file

    @property
    def started_ns(self) -> int:
        """When it began, in ns of wall time; 0 where it does not say."""
        try:
            return int(datetime.fromisoformat(self.record.started_utc).timestamp()) * NS_PER_S
        except ValueError:
            return 0


@dataclass(frozen=True)
class FoundRuns:
    """What a results folder holds."""

    folder: Path
    runs: tuple[Run, ...]
    damaged: tuple[Damaged, ...]
    unfinished: tuple[str, ...]
    """Names of runs that go on, or whose harness was killed and that no later run has swept up yet."""
    searches: tuple[FoundSearch, ...] = ()
    """The newest search of each scenario that has found a rate."""


def find_runs(folder: Path) -> FoundRuns:
    """The runs right below `folder`. Raises ResultError where there is no such folder."""
    if not folder.is_dir():
        raise ResultError(
            f"{folder}: expected a folder with runs, found none; "
            "make runs with bench run scenarios, or name the folder they are in"
        )
    runs, damaged, unfinished = [], [], []
    for path in sorted(folder.iterdir()):
        partial = layout.PARTIAL_NAME.fullmatch(path.name)
        if partial and path.is_dir():
            unfinished.append(partial["run"])
        elif path.is_dir() and (layout.RUN_NAME.fullmatch(path.name) or (path / layout.RECORD).exists()):
            try:
                run = Run.load(path)
            except ResultError as error:
                damaged.append(Damaged(path, str(error)))
                continue
            runs.append(run)
    searches: dict[str, FoundSearch] = {}
    for file in searches_in(folder):
        try:
            record = load(file)
        except ResultError as error:
            damaged.append(Damaged(file, str(error)))
            continue
        if record.is_ended and record.rate_per_s is not None:
            searches[record.scenario] = FoundSearch(file, record)  # the newest is the last
    runs.sort(key=lambda run: (started_ns(run), run.name), reverse=True)
    return FoundRuns(folder, tuple(runs), tuple(damaged), tuple(unfinished), tuple(searches.values()))


def started_ns(run: Run) -> int:
    """When the run began, in ns of wall time; by its name where the record lacks it; else 0."""
    if run.record.started.wall_ns is not None:
        return run.record.started.wall_ns
    named = layout.named_utc(run.name)
    return int(named.timestamp()) * NS_PER_S if named else 0


JUDGING = frozenset({"sla", "purpose"})
"""What may change without another load: a proof is judged by the requirement's rule."""


@dataclass(frozen=True)
class ScenarioFile:
    """One scenario of the folder."""

    name: str
    path: str
    purpose: str
    digest: str
    text: str
    seed: int


@dataclass(frozen=True)
class ScenarioFiles:
    """Every scenario by its name, and a sentence for each file that cannot be read."""

    by_name: dict[str, ScenarioFile]
    problems: tuple[str, ...]


def read_scenarios(paths: Iterable[Path]) -> ScenarioFiles:
    """The scenarios in files and folders. Raises ScenarioError for a path without any."""
    by_name: dict[str, ScenarioFile] = {}
    problems = []
    asked = list(paths)
    for path in asked:
        if not path.exists():
            load_scenario(path)  # which says that it is not there
    for path in discover(asked):
        shown = file_name(path)
        try:
            loaded = load_scenario(path)
        except ScenarioError as error:
            count = counted(len(error.problems), "problem")
            problems.append(f"{shown} has {count}; see bench validate {shown}")
            continue
        name = loaded.scenario.scenario
        if name in by_name:
            problems.append(f"{shown} has the name {name} of {by_name[name].path}, which counts")
            continue
        digest = hashlib.sha256(loaded.source_text.encode()).hexdigest()
        by_name[name] = ScenarioFile(
            name,
            str(path),
            loaded.scenario.purpose,
            digest,
            loaded.source_text,
            loaded.scenario.seed,
        )
    return ScenarioFiles(by_name, tuple(problems))


def changes_since(run: Run, file: ScenarioFile) -> tuple[str, ...]:
    """The top-level keys of the scenario that differ from those that the run was made with.

    Empty where nothing, only comments, or only what judges has changed.
    """
    scenario = run.record.scenario
    if scenario.digest == file.digest:
        return ()
    then, now = _mapping(scenario.text), _mapping(file.text)
    if then is None or now is None:
        return ("its text",)
    changed = {key for key in {*then, *now} if then.get(key) != now.get(key)}
    return tuple(sorted(map(str, changed - JUDGING)))


def _mapping(text: str) -> dict[Any, Any] | None:
    import yaml

    try:
        # A few lines of aliases can stand for more than any machine compares; no scenario has them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            return None
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
