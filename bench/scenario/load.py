"""Text to Scenario: all problems of a file together, each with its place.

    bytes ─ read_text ─▶ text ─ compose ─▶ nodes ─ overridden, interpolated ─▶ nodes ─ decoded ─▶ Scenario
                                                                                             └──▶ Rules

Every step hands on what is right and notes what is not, so that one mistake does not hide the next.
Nothing but ScenarioError is raised, whatever the bytes. The files that a scenario names (SQL,
locustfiles) are read with it, so that a plan is all that a run needs. Its quick form is shorter, with
each fault once. What a target refuses before a run is reported at its place in the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import Problem, ScenarioError
from bench.core.sanitize import remember_secrets
from bench.registry import Topology, shipped_topology
from bench.scenario.decode import decoded
from bench.scenario.feeds import with_rows
from bench.scenario.fields import SHORTEST_CYCLE_NS
from bench.scenario.model import Phase, Scenario
from bench.scenario.operations import DataSetChoice, read_locustfile
from bench.scenario.problems import Path as KeyPath
from bench.scenario.problems import Violation, nearest, where
from bench.scenario.rules.grammar import Rule
from bench.scenario.source import (
    MapNode,
    Place,
    Scalar,
    compose,
    file_name,
    read_text,
    without_extensions,
)
from bench.scenario.substitution import interpolated, overridden
from bench.scenario.validators.workload import check_workload
from bench.scenario.values import nodes
from bench.scenario.workloads import Workload

if TYPE_CHECKING:
    from bench.core.errors import StatementRefused


def with_files(
    scenario: Scenario, file: Path, marks: Mapping[KeyPath, Place]
) -> tuple[Scenario, list[Problem]]:
    """The scenario with the text of every SQL file and locustfile in it, and a problem for each that
    cannot be used.

    Paths are relative to the scenario's folder.
    """
    problems: list[Problem] = []
    workloads: list[Workload] = []
    for number, workload in enumerate(scenario.workloads):
        violations: list[Violation] = []
        if workload.dataset is not None and workload.dataset.sql:
            data_set, violations = _with_sql(workload.dataset, file.parent)
            workloads.append(workload.model_copy(update={"dataset": data_set}))
        elif workload.locustfile is not None:
            complete, violation = read_locustfile(workload.locustfile, file.parent)
            workloads.append(workload.model_copy(update={"locustfile": complete}))
            violations = [violation.under("locustfile")] if violation is not None else []
        else:
            workloads.append(workload)
        if workload.feeds:
            workloads[-1], found = _with_rows(workloads[-1], file.parent)
            violations += found
        for violation in (violation.under("workloads", number) for violation in violations):
            path = violation.path
            place = marks.get(path) or marks.get(path[:-1]) or Place("--set")
            problems.append(place.problem(path, violation.expected, violation.found, violation.advice))
    return scenario.model_copy(update={"workloads": tuple(workloads)}), problems


def _with_rows(workload: Workload, folder: Path) -> tuple[Workload, list[Violation]]:
    """With the rows of its feeds, and what is wrong with them or with who takes of them."""
    feeds, violations = {}, list[Violation]()
    for name, feed in workload.feeds.items():
        feeds[name], violation = with_rows(feed, folder)
        violations += [violation.under("feeds", name)] if violation is not None else []
    complete = workload.model_copy(update={"feeds": feeds})
    return complete, violations or list(check_workload(complete))


def _with_sql(data_set: DataSetChoice, folder: Path) -> tuple[DataSetChoice, list[Violation]]:
    violations: list[Violation] = []
    sources = []
    for index, source in enumerate(data_set.sql):
        try:
            text = read_text(folder / source.path) if source.text is None else source.text
        except ScenarioError as error:
            problem = error.problems[0]
            expected, found = "a file with SQL beside the scenario", f"{problem.file}: {problem.found}"
            advice = "check the path; it is relative to the scenario"
            violations.append(Violation(("dataset", "sql", index), expected, found, advice))
        else:
            sources.append(source.model_copy(update={"text": text}))
    return data_set.model_copy(update={"sql": tuple(sources)}), violations


MEASURED_NS = 3 * 10**9
OTHER_NS = 10**9
FIRST_FAULT_NS = 3 * 10**9
"""After the warm-up and enough time to know how the target does without a fault."""
LONGEST_FAULT_NS = 2 * 10**9
AFTER_FAULTS_NS = 4 * 10**9
"""To see it come back and be as before."""


def shortened(scenario: Scenario) -> Scenario:
    """Measured phases of at most 3 s, others of at most 1 s, loads unchanged.

    Cycles become shorter, and fewer where they would be too short. A fault comes once, sooner, and stays
    for 2 s at most; actions come sooner by as much. The run then lasts as long as it takes to see them and
    what follows.
    """
    phases = tuple(_short(phase) for phase in scenario.phases)
    if not scenario.disturbs:
        return scenario.model_copy(update={"phases": phases})
    times = [fault.at_ns or 0 for fault in scenario.faults] + [one.at_ns for one in scenario.actions]
    earliest = min(times)
    sooner = max(earliest - FIRST_FAULT_NS, 0)
    faults = tuple(
        fault.model_copy(
            update={
                "at_ns": (fault.at_ns or 0) - sooner,
                "for_ns": fault.for_ns and min(fault.for_ns, LONGEST_FAULT_NS),
                "repeat": 1,
                "every_ns": None,
                "jitter_ns": None,
            }
        )
        for fault in scenario.faults
    )
    actions = tuple(one.model_copy(update={"at_ns": one.at_ns - sooner}) for one in scenario.actions)
    ends = [(fault.at_ns or 0) + (fault.for_ns or 0) for fault in faults]
    ends += [one.at_ns + (one.for_ns or 0) for one in actions]
    end = max(ends) + AFTER_FAULTS_NS
    last = max(number for number, phase in enumerate(phases) if phase.measured)
    others = sum(phase.duration_ns for number, phase in enumerate(phases) if number != last)
    whole = phases[last].model_copy(update={"duration_ns": max(end - others, phases[last].duration_ns)})
    stretched = (*phases[:last], whole, *phases[last + 1 :])
    return scenario.model_copy(update={"phases": stretched, "faults": faults, "actions": actions})


def _short(phase: Phase) -> Phase:
    length = min(phase.duration_ns, MEASURED_NS if phase.measured else OTHER_NS)
    cycles = phase.cycles and min(phase.cycles, length // SHORTEST_CYCLE_NS)
    return phase.model_copy(update={"duration_ns": length, "cycles": cycles})


MAX_REPORTED = 500
SUFFIXES = (".yaml", ".yml")
FOLDER = "scenarios"
"""Where scenarios are looked for by name."""
STACKS = "stacks"
"""A folder of stack files among them."""
REQUIREMENTS = "requirements.yaml"
"""The file among them that says what must be shown before production; no scenario."""
READINESS = "readiness"
"""A folder of such files among them, and of evidence that they name."""
_STACK_LINE = re.compile(r"^stack:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
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
    topology: Topology
    """The targets of its stack."""


def load_scenario(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    quick: bool = False,
    environment: Mapping[str, str] | None = None,
    topology: Topology | None = None,
) -> LoadedScenario:
    """Read, check and return a scenario; `overrides` are the texts of --set, "key.path=value".

    topology: the targets that its stack has; those of the shipped stacks where it is not given.

    Raises ScenarioError with every problem.
    """
    file = Path(path)
    text = read_text(file)
    root, problems = compose(text, file_name(file))
    if root is None:
        raise ScenarioError([*problems, _nothing(Place(file_name(file), 1, 1), "an empty file")])
    if not isinstance(root, MapNode):
        raise ScenarioError([*problems, _nothing(root.place, "something else than key: value lines")])
    root, found = overridden(without_extensions(root), overrides)
    problems += found
    tree, found = interpolated(root, os.environ if environment is None else environment)
    problems += found
    topology = shipped_topology() if topology is None else topology
    scenario, rules, found = decoded(tree, topology)
    problems += found
    marks = {path: node.place for path, node in nodes(tree)}
    if scenario is not None:
        scenario, found = with_files(scenario, file, marks)
        problems += found
    if problems or scenario is None:
        raise ScenarioError(_readable(problems))
    if quick:
        scenario = shortened(scenario)
    secrets = {
        path: node.secret_of for path, node in nodes(tree) if isinstance(node, Scalar) and node.secret_of
    }
    values = os.environ if environment is None else environment
    remember_secrets(values.get(name, "") for name in secrets.values())
    return LoadedScenario(scenario, text, file, rules, quick, tuple(overrides), marks, secrets, topology)


def stack_named_in(path: Path) -> str | None:
    """What a scenario file says of its stack: a stack's name, or the path of its file; None if nothing.

    A path is relative to the scenario's folder. Raises ScenarioError for a file that cannot be read.
    """
    named = _STACK_LINE.search(read_text(path))
    if named is None:
        return None
    beside = path.parent / named[1]
    return str(beside) if beside.suffix in SUFFIXES else named[1]


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
            # A file that is missing or unreadable is reported by load_scenario, with all else.
            files[path] = None
            continue
        inside = scenario_files_in(path)
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
    alike = nearest(name, known)
    advice = f'did you mean "{alike}"?' if alike else "bench list shows those that are there"
    if not known:
        advice = "name a file, or go to the folder that holds scenarios/"
    return Problem(name, 0, 0, "scenario", f"a file, a folder or a scenario in {FOLDER}/", "none", advice)


def _readable(problems: list[Problem]) -> list[Problem]:
    """The first problems of a file that has more than anyone reads."""
    reported = sorted(set(problems))
    if len(reported) <= MAX_REPORTED:
        return reported
    expected, found = f"at most {MAX_REPORTED} problems", f"{len(reported)} or more"
    more = Problem(reported[0].file, 0, 0, "file", expected, found, "correct those below first")
    return [more, *reported[:MAX_REPORTED]]


def scenario_files_in(folder: Path) -> list[Path]:
    """The scenario files in a folder and below it; none where there is no such folder."""
    return sorted(file for file in folder.rglob("*") if _is_scenario_file(file, folder))


def _is_scenario_file(file: Path, above: Path) -> bool:
    parts = file.relative_to(above).parts
    is_other = (
        any(part.startswith(".") for part in parts)
        or not {STACKS, READINESS}.isdisjoint(parts[:-1])
        or file.name == REQUIREMENTS
    )
    return file.suffix in SUFFIXES and not is_other and file.is_file()


def _nothing(place: Place, found: str) -> Problem:
    expected, advice = "a scenario: key: value lines", "start from a file in scenarios/, or see its README.md"
    return place.problem("file", expected, found, advice)


NEAR_CHARACTERS = 30


def placed_refusal(loaded: LoadedScenario, number: int, refused: StatementRefused) -> ScenarioError:
    """The refusal of a part of workload `number` (from 0), as a problem of its file."""
    path = ("workloads", number, *refused.path)
    known = path
    while known and known not in loaded.marks:
        known = known[:-1]  # what an override or a default brought stands nowhere
    place = loaded.marks[known]
    line, column, found, advice = place.line, place.column, refused.found, refused.advice
    text = _text_at(loaded, number, refused.path)
    secrets = [name for known, name in loaded.secrets.items() if known[: len(path)] == path]
    if secrets:
        # The server may have repeated any part of it.
        found = f"the value of the environment variable {secrets[0]} (not shown), which it refused"
        advice = f"correct {secrets[0]}"
    elif text is not None and refused.offset is not None:
        if line:
            line, column = _position(loaded.source_text, line, column, text, refused.offset)
        near = text[max(refused.offset, 0) :][:NEAR_CHARACTERS].split("\n")[0]
        found += f", at '{near}'" if near else ", at the end"
    return ScenarioError([Problem(place.file, line, column, where(path), refused.expected, found, advice)])


def _text_at(loaded: LoadedScenario, number: int, path: tuple[str | int, ...]) -> str | None:
    """The statement at a path such as ("operations", "get", "sql") of a workload."""
    workload = loaded.scenario.workloads[number]
    match path:
        case ("operations", name, "sql"):
            return workload.operations[str(name)].sql
        case ("operations", name, "transaction", int(index)):
            return (workload.operations[str(name)].transaction or ())[index]
        case ("setup" | "teardown" | "connect" as key, int(index)):
            step = getattr(workload, key)[index]
            return step if isinstance(step, str) else None
    return None


def _position(source: str, line: int, column: int, text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of character `offset` of a text that begins near line and column.

    Where the file writes it in another way (folded, escaped), the place of the whole is as near as it gets.
    """
    lines = source.splitlines()
    before, rest = text[:offset].split("\n"), text.split("\n")
    wanted = rest[len(before) - 1].strip()
    nearby = list(range(line - 1, line + len(rest)))
    if lines[line - 1][column - 1 : column] in ("|", ">"):
        # A block begins in the line below its mark; the same words may stand in an earlier line of it, too.
        nearby.insert(0, line + len(before) - 1)
    for index in (index for index in nearby if index < len(lines)):
        begin = column - 1 if index == line - 1 else 0
        at = lines[index].find(wanted, begin) if wanted else -1
        if at >= 0:
            indent = len(rest[len(before) - 1]) - len(rest[len(before) - 1].lstrip())
            return index + 1, at + 1 + len(before[-1]) - indent
    return line, column
