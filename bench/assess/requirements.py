"""What must be shown before production: the records of a file of requirements.

All proofs of a requirement must hold. A proof is judged by the rule that stands here, on the run of
the scenario named, whatever the scenario's own file asks: a softened scenario file shows nothing.
`bench.assess.requirements_file` reads and checks such a file.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from bench.assess.documents.kinds import Age, Document
from bench.core.units import Mismatch, quoted
from bench.registry import DRIVERS, KINDS
from bench.scenario.fields import Number, Rate, StrictModel, Text, Whole
from bench.scenario.rules.grammar import Rule, parse_rule

MOST = 1000
NO_LIMIT = "1h"
"""The highest time that a histogram holds: what is only to be recorded is judged against it."""
Fact = Literal[
    "up",
    "uptime",
    "restart_policy",
    "health_check",
    "memory_limit",
    "cpu_limit",
    "log_rotation",
    "password",
    "tls",
]
LEAST_HEADROOM = 0.5
FLAGS = (0.7, 0.8)
"""Shares of a validated limit from which on a figure is flagged."""
TOGETHER = ("proofs", "evidence", "facts")
"""Keys of a requirement that say what shows it; of several all must hold."""
ALONE = ("kind", "capacity")
"""Others, of which one stands alone."""


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


class TargetFact(StrictModel):
    """How a target must be set up, or what it must refuse, where it is asked now."""

    target: Text
    fact: Fact
    at_least_ns: Age = Field(1, alias="at_least")
    """Of `uptime`."""
    path: Annotated[Text, StringConstraints(pattern=r"^/[\x21-\x7e]*$")] = "/"
    """Over HTTP what is asked for without a password or TLS, below the target's own path."""


Level = Literal["must", "should"]


class Area(StrictModel):
    """A group of requirements. It stands as its worst requirement does, whatever its weight."""

    weight: Annotated[float, Number(0, 1000, above_low=True)] = 1.0
    """Its share of the score that is shown beside the status, and its place in the scorecard."""
    max_age_ns: Age | None = Field(None, alias="max_age")
    owner: Text | None = None


class Requirement(StrictModel):
    """One line of the acceptance criteria."""

    key: Text
    area: Text
    demand: Text
    level: Level = "must"
    """A `should` that is broken or not shown is a warning."""
    owner: Text | None = None
    """Who answers for it; else the owner of its area."""
    max_age_ns: Age | None = Field(None, alias="max_age")
    """How old what shows it may be; else as its area or the file has it, or --max-age."""
    proofs: Annotated[tuple[Proof, ...], Field(min_length=1, max_length=MOST)] | None = None
    evidence: Annotated[tuple[Document, ...], Field(min_length=1, max_length=MOST)] | None = None
    """Documents of others."""
    facts: Annotated[tuple[TargetFact, ...], Field(min_length=1, max_length=MOST)] | None = None
    """Of targets that are asked now."""
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

    max_age_ns: Age | None = Field(None, alias="max_age")
    areas: dict[Text, Area] = Field(default={}, max_length=MOST)
    """By name. Where any is listed, all that requirements name are."""
    capacities: Annotated[tuple[Capacity, ...], Field(max_length=MOST)] = ()
    requirements: Annotated[tuple[Requirement, ...], Field(min_length=1, max_length=MOST)]

    def area(self, name: str) -> Area:
        """An area; one that is not listed has the weight 1."""
        return self.areas.get(name, Area.model_validate({}))

    def owner_of(self, requirement: Requirement) -> str | None:
        """Who answers for a requirement."""
        return requirement.owner or self.area(requirement.area).owner

    def max_age_of(self, requirement: Requirement, default_ns: int) -> int:
        """How old what shows a requirement may be: the nearest that is written counts."""
        written = (requirement.max_age_ns, self.area(requirement.area).max_age_ns, self.max_age_ns)
        return next((age_ns for age_ns in written if age_ns is not None), default_ns)


def requirements_schema() -> dict[str, object]:
    """The JSON Schema of files of requirements."""
    schema: dict[str, object] = Requirements.model_json_schema(by_alias=True, mode="validation")
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | schema | {"title": "Holdfast requirements", "patternProperties": {"^x-": True}}
