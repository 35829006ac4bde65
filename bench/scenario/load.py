"""Text to Scenario: all problems of a file at once, each with its place.

    bytes ─ read ─▶ text ─ source.compose ─▶ nodes ─ overrides ─ environment ─▶ nodes ─ model ─▶ Scenario
                                                                                  └─ rules ─▶ Rules

Every step hands on what is right and notes what is not, so that one mistake does not hide the next.
Nothing but ScenarioError is raised, whatever the bytes.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import Problem, ScenarioError
from bench.scenario.decode import decoded
from bench.scenario.files import with_files
from bench.scenario.model import Scenario
from bench.scenario.overrides import overridden
from bench.scenario.paths import Path as KeyPath
from bench.scenario.plain import places, secrets
from bench.scenario.quick import shortened
from bench.scenario.read import file_name, read_text
from bench.scenario.rules.grammar import Rule
from bench.scenario.source import MapNode, Place, compose
from bench.scenario.substitution import interpolated

MAX_TOLD = 500
SUFFIXES = (".yaml", ".yml")
FOLDER = "scenarios"
"""Where scenarios are looked for by name."""
_NAME_LINE = re.compile(r"^scenario:\s*([A-Za-z0-9_.-]+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario that can be run, and where it came from."""

    scenario: Scenario
    source_text: str
    """The file as it stands: references to the environment are not replaced in it."""
    path: Path
    rules: tuple[Rule, ...]
    quick: bool
    overrides: tuple[str, ...]
    marks: Mapping[KeyPath, Place]
    """Path of keys and indexes, such as ("phases", 0, "for"), to its place."""
    secrets: Mapping[KeyPath, str]
    """The paths whose values came from the environment and are not shown, with the variable's name."""


def load_scenario(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    quick: bool = False,
    environment: Mapping[str, str] | None = None,
) -> LoadedScenario:
    """Read, check and return a scenario; `overrides` are the texts of --set, "key.path=value".

    Raises ScenarioError with every problem.
    """
    file = Path(path)
    text = read_text(file)
    root, problems = compose(text, file_name(file))
    if root is None:
        raise ScenarioError([*problems, _nothing(file, "an empty file")])
    if not isinstance(root, MapNode):
        raise ScenarioError([*problems, _nothing(file, "something else than key: value lines", root.place)])
    root, found = overridden(root, overrides)
    problems += found
    tree, found = interpolated(root, os.environ if environment is None else environment)
    problems += found
    scenario, rules, found = decoded(tree)
    problems += found
    marks = places(tree)
    if scenario is not None:
        scenario, found = with_files(scenario, file, marks)
        problems += found
    if problems or scenario is None:
        raise ScenarioError(_readable(problems))
    if quick:
        scenario = shortened(scenario)
    return LoadedScenario(scenario, text, file, rules, quick, tuple(overrides), marks, secrets(tree))


def discover(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The scenario files that `paths` name: files as they are, directories searched, in stable order.

    A name without a suffix that is no path stands for the scenario of that name in scenarios/, as
    `bench list` prints it. Raises ScenarioError for a directory without any and for a name that none has.
    """
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    for path in map(Path, paths):
        if _is_name(path):
            named = _named(path.name)
            if isinstance(named, Problem):
                problems.append(named)
            else:
                files[named] = None
            continue
        if not path.is_dir():
            # A file that is missing or unreadable is told by load_scenario, with all else.
            files[path] = None
            continue
        inside = sorted(file for file in path.rglob("*") if _is_scenario_file(file, path))
        if not inside:
            expected = "a directory with scenario files (*.yaml)"
            advice = "name another directory or a file; bench schema prints what a scenario may hold"
            problems.append(Problem(file_name(path), 0, 0, "directory", expected, "none in it", advice))
        files.update(dict.fromkeys(inside))
    if problems:
        raise ScenarioError(problems)
    return list(files)


def _is_name(path: Path) -> bool:
    return path.suffix == "" and len(path.parts) == 1 and not path.is_absolute() and not path.exists()


def _named(name: str) -> Path | Problem:
    """The file of the scenario called `name`; files that cannot be read go by their own name."""
    folder = Path(FOLDER)
    known: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if _is_scenario_file(file, folder):
            known.setdefault(file.stem, file)
            found = _NAME_LINE.search(file.read_text("utf-8", "replace"))
            if found:
                known.setdefault(found[1], file)
    if name in known:
        return known[name]
    alike = difflib.get_close_matches(name, known, n=1)
    advice = f'did you mean "{alike[0]}"?' if alike else "bench list shows those that are there"
    if not known:
        advice = "name a file, or go to the folder that holds scenarios/"
    return Problem(name, 0, 0, "scenario", f"a file, a folder or a scenario in {FOLDER}/", "none", advice)


def _readable(problems: list[Problem]) -> list[Problem]:
    """The first problems of a file that has more than anyone reads."""
    told = sorted(set(problems))
    if len(told) <= MAX_TOLD:
        return told
    expected, found = f"at most {MAX_TOLD} problems", f"{len(told)} or more"
    more = Problem(told[0].file, 0, 0, "file", expected, found, "correct those below first")
    return [more, *told[:MAX_TOLD]]


def _is_scenario_file(file: Path, above: Path) -> bool:
    is_hidden = any(part.startswith(".") for part in file.relative_to(above).parts)
    return file.suffix in SUFFIXES and not is_hidden and file.is_file()


def _nothing(file: Path, found: str, place: Any = None) -> Problem:
    line, column = (place.line, place.column) if place is not None else (1, 1)
    expected, advice = "a scenario: key: value lines", "start from a file in scenarios/, or see its README.md"
    return Problem(file_name(file), line, column, "file", expected, found, advice)
