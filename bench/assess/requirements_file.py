"""Files of requirements: read, checked by themselves, and against the scenarios that there are."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bench.assess.documents.kinds import KINDS
from bench.assess.requirements import ALONE, TOGETHER, Requirement, Requirements
from bench.core.errors import ScenarioError
from bench.core.units import quoted
from bench.registry import DRIVERS
from bench.scenario.decode import placed, validated
from bench.scenario.load import FOLDER, READINESS, REQUIREMENTS, LoadedScenario, scenario_files_in
from bench.scenario.problems import Violation, nearest
from bench.scenario.rules.grammar import RuleError
from bench.scenario.rules.metrics import check_rule, metrics_of
from bench.scenario.source import MapNode, Node, Place, compose, file_name, read_text, without_extensions

SHOWN_NAMES = 20
KEY = "requirements"
"""The key by which such a file is known."""


def default_file() -> Path:
    """`scenarios/requirements.yaml` where there is one, else the one that Holdfast ships."""
    own, installed = Path(FOLDER, REQUIREMENTS), Path(__file__).with_name(REQUIREMENTS)
    shipped = installed if installed.exists() else Path(__file__).parents[2] / FOLDER / REQUIREMENTS
    return own if own.exists() else shipped


def load_requirements(
    path: Path, scenarios: Mapping[str, LoadedScenario] | None = None, targets: Iterable[str] | None = None
) -> Requirements:
    """Read and check a file of requirements; with `scenarios` also whether these can show what it asks.

    `targets`: those that facts may be about; any where it is not given.

    Raises ScenarioError with every problem.
    """
    root, problems = compose(read_text(path), file_name(path))
    if root is None:
        place, advice = Place(file_name(path), 1, 1), f"start from {FOLDER}/{REQUIREMENTS}"
        raise ScenarioError([*problems, place.problem("file", "requirements", "an empty file", advice)])
    root = without_extensions(root) if isinstance(root, MapNode) else root
    contents = validated(Requirements, root, problems)
    violations = [*_violations(contents)]
    if scenarios is not None:
        violations += _unknown(contents, scenarios)
    if targets is not None:
        violations += _unknown_targets(contents, [*targets])
    found = [placed(violation, root) for violation in violations]
    problems += [problem for problem in found if problem is not None]
    if problems:
        raise ScenarioError(sorted(set(problems)))
    return contents


def is_requirements_file(path: Path) -> bool:
    """Whether a file has requirements rather than a scenario; one that cannot be read has not."""
    try:
        root, _ = compose(read_text(path), file_name(path))
    except ScenarioError:
        return path.name == REQUIREMENTS
    return _has_requirements(root) or path.name == REQUIREMENTS


def _has_requirements(root: Node | None) -> bool:
    return isinstance(root, MapNode) and KEY in root.entries and "scenario" not in root.entries


def _violations(contents: Requirements) -> Iterator[Violation]:
    """What does not fit together."""
    known = {driver.capacity for driver in DRIVERS.values() if driver.capacity}
    for index, capacity in enumerate(contents.capacities):
        if capacity.key not in known:
            expected = f"a capacity that drivers show: {', '.join(sorted(known))}"
            where = ("capacities", index, "key")
            yield Violation(where, expected, quoted(capacity.key), "name one of those")
    required = {one.key for one in contents.capacities if one.required_per_s is not None}
    used = {one.area for one in contents.requirements}
    for name in contents.areas:
        if name not in used:
            expected, found = "an area with a requirement", f"{quoted(name)} without any"
            advice = "add what it must show, or remove it: an empty area hides a gap"
            yield Violation(("areas", name), expected, found, advice)
    seen: set[str] = set()
    for index, requirement in enumerate(contents.requirements):
        path = (KEY, index)
        if requirement.key in seen:
            yield Violation((*path, "key"), "every key once", quoted(requirement.key), "rename one of them")
        seen.add(requirement.key)
        if contents.areas and requirement.area not in contents.areas:
            yield _unknown_name((*path, "area"), "an area that is listed", requirement.area, contents.areas)
        yield from _what_shows(requirement, path, required)


def _what_shows(
    requirement: Requirement, path: tuple[str | int, ...], required: set[str]
) -> Iterator[Violation]:
    given = [name for name in (*TOGETHER, *ALONE) if getattr(requirement, name) is not None]
    if not given or (len(given) > 1 and not set(given) <= set(TOGETHER)):
        expected = f"{' or '.join(TOGETHER)}, or one of {', '.join(ALONE)} alone"
        yield Violation(path, expected, " and ".join(given) or "none", "say what shows it")
    for number, document in enumerate(requirement.evidence or ()):
        if len(document.kinds) != 1:
            expected, found = f"exactly one of {', '.join(KINDS)}", " and ".join(document.kinds) or "none"
            yield Violation((*path, "evidence", number), expected, found, "name one document")
    if requirement.capacity is not None and requirement.capacity not in required:
        expected = f"a capacity with a required rate: {', '.join(sorted(required)) or 'there is none'}"
        found, advice = quoted(requirement.capacity), "name one of those, or add it to the capacities"
        yield Violation((*path, "capacity"), expected, found, advice)


def _unknown(contents: Requirements, scenarios: Mapping[str, LoadedScenario]) -> Iterator[Violation]:
    """What asks for a scenario that there is not, or for a figure that it cannot show."""
    for index, capacity in enumerate(contents.capacities):
        if capacity.scenario not in scenarios:
            yield _no_scenario(("capacities", index, "scenario"), capacity.scenario, scenarios)
    for index, requirement in enumerate(contents.requirements):
        for number, proof in enumerate(requirement.proofs or ()):
            path = (KEY, index, "proofs", number)
            loaded = scenarios.get(proof.scenario)
            if loaded is None:
                yield _no_scenario((*path, "scenario"), proof.scenario, scenarios)
                continue
            try:
                check_rule(proof.parsed, metrics_of(loaded.scenario, loaded.topology))
            except RuleError as error:
                yield Violation((*path, "rule"), error.expected, error.found, error.advice)


def _unknown_targets(contents: Requirements, targets: list[str]) -> Iterator[Violation]:
    for index, requirement in enumerate(contents.requirements):
        for number, fact in enumerate(requirement.facts or ()):
            if fact.target not in targets:
                path = (KEY, index, "facts", number, "target")
                yield _unknown_name(path, "a target of the stack", fact.target, targets)


def _no_scenario(path: tuple[str | int, ...], name: str, known: Iterable[str]) -> Violation:
    return _unknown_name(path, "a scenario that there is", name, known)


def _unknown_name(path: tuple[str | int, ...], expected: str, name: str, known: Iterable[str]) -> Violation:
    names = {each.lower(): each for each in sorted(known)}
    listed = ", ".join([*names.values()][:SHOWN_NAMES]) + (", ..." if len(names) > SHOWN_NAMES else "")
    meant = nearest(name, names)
    advice = f"write {quoted(names[meant])} if that was meant" if meant else "name one of those"
    return Violation(path, f"{expected}: {listed or 'none'}", quoted(name), advice)


def requirements_in(folder: Path) -> list[Path]:
    """The files of requirements in a folder of scenarios."""
    found = [folder / REQUIREMENTS, *sorted((folder / READINESS).glob("*.y*ml"))]
    return [file for file in found if file.is_file() and is_requirements_file(file)]


def scenarios_beside(path: Path, named: Iterable[Path]) -> list[Path]:
    """The scenario files that a file of requirements is about: those named with it, beside it, in scenarios/.

    Of folders the first one with scenarios counts.
    """
    folders = [one for one in named if one.is_dir()]
    above = path.parent.parent if path.parent.name == READINESS else path.parent
    for folder in (*folders, above, Path(FOLDER)):
        if files := scenario_files_in(folder):
            return files
    return []
