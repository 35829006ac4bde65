"""What a requirement is: a demand, and the proofs, targets or rates that show it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.scenario.rules.grammar import Rule, parse_rule

NO_LIMIT = "1h"
"""The highest time that a histogram holds: what is only to be recorded is judged against it."""


@dataclass(frozen=True)
class Proof:
    """A rule, and the scenario whose run shows it."""

    scenario: str
    rule: str
    """In the grammar of rules; a time without a limit ("cache.response.p99") is to be recorded only."""
    cycles: int = 0
    """The run must have so many cycles of load and rest in its measured time."""

    @property
    def is_recorded_only(self) -> bool:
        """Whether the figure needs to be known, and no more."""
        return "<" not in self.rule and ">" not in self.rule and "==" not in self.rule

    @property
    def parsed(self) -> Rule:
        """The rule to judge by. Raises RuleError."""
        return parse_rule(f"{self.rule} <= {NO_LIMIT}" if self.is_recorded_only else self.rule)


@dataclass(frozen=True)
class Requirement:
    """One line of the acceptance criteria."""

    key: str
    area: str
    demand: str
    proofs: tuple[Proof, ...] = ()
    kind: str | None = None
    """Of a health requirement: the kind of target that must be up."""
    number: int = 1
    """How many targets of that kind."""
    capacity: str | None = None
    """Of a capacity requirement: its entry in `CAPACITIES`."""
    where_used: bool = False
    """Only where the system has such a part: not to have looked at it is a warning and no more."""


@dataclass(frozen=True)
class Capacity:
    """A rate that production needs, and the workloads that can show how much more there is."""

    key: str
    subject: str
    drivers: tuple[str, ...]
    unit: str
    scenario: str
    """The scenario that says most about it."""
    required_per_s: float | None
    """None: the acceptance criteria name none; what was reached is shown all the same."""


LEAST_HEADROOM = 0.5
FLAGS = (0.7, 0.8)
"""Shares of a validated limit from which on a figure is flagged."""
