"""What must be shown before production: the requirements of a file, each with what shows it.

All proofs of a requirement must hold. A proof is judged by the rule that stands here, on the run of
the scenario named, whatever the scenario's own file asks: a softened scenario file shows nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from bench.core.errors import ScenarioError
from bench.core.units import Mismatch, quoted
from bench.registry import DRIVERS, KINDS
from bench.scenario.decode import placed, validated
from bench.scenario.fields import Rate, StrictModel, Text, Whole
from bench.scenario.load import FOLDER, REQUIREMENTS
from bench.scenario.problems import Violation
from bench.scenario.rules.grammar import Rule, parse_rule
from bench.scenario.source import Place, compose, file_name, read_text

MOST = 1000
NO_LIMIT = "1h"
"""The highest time that a histogram holds: what is only to be recorded is judged against it."""
LEAST_HEADROOM = 0.5
FLAGS = (0.7, 0.8)
"""Shares of a validated limit from which on a figure is flagged."""
SHOWN_BY = ("proofs", "kind", "capacity")
"""Keys of a requirement of which exactly one says what shows it."""


def _is_recorded_only(rule: str) -> bool:
    return not any(sign in rule for sign in "<>=")


def _parsed(rule: str) -> Rule:
    return parse_rule(f"{rule} <= {NO_LIMIT}" if _is_recorded_only(rule) else rule)


def _checked_rule(text: str) -> str:
    _parsed(text)
    return text


def _checked_kind(text: str) -> str:
    if text not in KINDS:
        known = ", ".join(KINDS)
        raise Mismatch(f"one of the kinds of targets {known}", quoted(text), "write one of those")
    return text


class Proof(StrictModel):
    """A rule, and the scenario whose run shows it."""

    scenario: Text
    rule: Annotated[Text, AfterValidator(_checked_rule)]
    """In the grammar of rules; a time without a limit ("cache.response.p99") is to be recorded only."""
    cycles: Annotated[int, Whole(0, 1_000_000)] = 0
    """The run must have so many cycles of load and rest in its measured time."""

    @property
    def is_recorded_only(self) -> bool:
        """Whether the figure needs to be known, and no more."""
        return _is_recorded_only(self.rule)

    @property
    def parsed(self) -> Rule:
        """The rule to judge by."""
        return _parsed(self.rule)


class Requirement(StrictModel):
    """One line of the acceptance criteria."""

    key: Text
    area: Text
    demand: Text
    proofs: Annotated[tuple[Proof, ...], Field(min_length=1, max_length=MOST)] | None = None
    kind: Annotated[Text, AfterValidator(_checked_kind)] | None = None
    """Of a health requirement: the kind of target that must be up."""
    number: Annotated[int, Whole(1, 1000)] = 1
    """How many targets of that kind."""
    capacity: Text | None = None
    """Of a capacity requirement: the key of the capacity."""
    where_used: Annotated[bool, Field(strict=True)] = False
    """Only where the system has such a part: not to have looked at it is a warning and no more."""


class Capacity(StrictModel):
    """A rate that production needs, and the workloads that can show how much more there is."""

    key: Text
    subject: Text
    unit: Text
    scenario: Text
    """The scenario that says most about it."""
    required_per_s: Rate | None = Field(None, alias="required")
    """None: the acceptance criteria name none; what was reached is shown all the same."""

    @property
    def drivers(self) -> tuple[str, ...]:
        """The drivers whose runs show it."""
        return tuple(driver.name for driver in DRIVERS.values() if driver.capacity == self.key)


class Requirements(StrictModel):
    """All that a system must show."""

    capacities: Annotated[tuple[Capacity, ...], Field(max_length=MOST)] = ()
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, max_length=MOST)]


def default_file() -> Path:
    """`scenarios/requirements.yaml` where there is one, else the one that Holdfast ships."""
    own, installed = Path(FOLDER, REQUIREMENTS), Path(__file__).with_name(REQUIREMENTS)
    shipped = installed if installed.exists() else Path(__file__).parents[2] / FOLDER / REQUIREMENTS
    return own if own.exists() else shipped


def load_requirements(path: Path) -> Requirements:
    """Read and check a file of requirements. Raises ScenarioError with every problem."""
    root, problems = compose(read_text(path), file_name(path))
    if root is None:
        place, advice = Place(file_name(path), 1, 1), f"start from {FOLDER}/{REQUIREMENTS}"
        raise ScenarioError([*problems, place.problem("file", "requirements", "an empty file", advice)])
    contents = validated(Requirements, root, problems)
    found = [placed(violation, root) for violation in _violations(contents)]
    problems += [problem for problem in found if problem is not None]
    if problems:
        raise ScenarioError(sorted(set(problems)))
    return contents


def _violations(contents: Requirements) -> Iterator[Violation]:
    """What does not fit together."""
    known = {driver.capacity for driver in DRIVERS.values() if driver.capacity}
    for index, capacity in enumerate(contents.capacities):
        if capacity.key not in known:
            expected = f"a capacity that drivers show: {', '.join(sorted(known))}"
            where = ("capacities", index, "key")
            yield Violation(where, expected, quoted(capacity.key), "name one of those")
    required = {one.key for one in contents.capacities if one.required_per_s is not None}
    seen: set[str] = set()
    for index, requirement in enumerate(contents.requirements):
        path = ("requirements", index)
        if requirement.key in seen:
            yield Violation((*path, "key"), "every key once", quoted(requirement.key), "rename one of them")
        seen.add(requirement.key)
        given = [name for name in SHOWN_BY if getattr(requirement, name) is not None]
        if len(given) != 1:
            expected, found = f"exactly one of {', '.join(SHOWN_BY)}", " and ".join(given) or "none"
            yield Violation(path, expected, found, "say what shows it")
        if requirement.capacity is not None and requirement.capacity not in required:
            expected = f"a capacity with a required rate: {', '.join(sorted(required)) or 'there is none'}"
            found, advice = quoted(requirement.capacity), "name one of those, or add it to the capacities"
            yield Violation((*path, "capacity"), expected, found, advice)
