"""The scenario files as they stand today: what a run is compared with, and what was never run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import ScenarioError
from bench.scenario.load import discover, load_scenario
from bench.scenario.read import file_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.results.reader import Run

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
            count = len(error.problems)
            problems.append(f"{shown} has {count} problem{'s' * (count != 1)}; see bench validate {shown}")
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
    told = run.record.get("scenario", {})
    if told.get("digest") == file.digest:
        return ()
    then, now = _mapping(told.get("text")), _mapping(file.text)
    if then is None or now is None:
        return ("its text",)
    changed = {key for key in {*then, *now} if then.get(key) != now.get(key)}
    return tuple(sorted(map(str, changed - JUDGING)))


def _mapping(text: object) -> dict[Any, Any] | None:
    import yaml

    if not isinstance(text, str):
        return None
    try:
        # A few lines of aliases can stand for more than any machine compares; no scenario has them.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            return None
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
