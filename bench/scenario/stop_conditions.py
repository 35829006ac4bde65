"""Stop conditions: what ends a run early and safely, because going on would do harm or show nothing.

    stop_when:
      - errors > 50% for 10s
      - {down: redis, for: 5s}

A rule there is written as one under `sla`, and ends the run when it holds. `down` asks the target itself,
beside the load, as `bench stack status` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from bench.core.units import Mismatch, format_duration_ns, quoted
from bench.scenario.fields import Duration, Name, StrictModel, Text, kind_of
from bench.scenario.problems import Violation
from bench.scenario.rules.grammar import Rule, RuleError

if TYPE_CHECKING:
    from bench.registry import Topology

WATCHED = ("response", "response_ok", "service", "errors", "throughput")
"""Metrics that are known of each window as it ends."""
LONG_ENOUGH_NS = 5_000_000_000


class StopEntry(StrictModel):
    """One entry under `stop_when`: a rule, or a target that is down."""

    rule: Text | None = Field(None, description="Written as the entry itself: errors > 50% for 10s.")
    down: Name | None = Field(None, description="A target that does not answer, or says it is not well.")
    for_ns: Duration = Field(
        LONG_ENOUGH_NS,
        alias="for",
        description="down: for how long in a row.",
        json_schema_extra={"default": "5s"},
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.rule is None) == (self.down is None):
            raise Mismatch("a rule as text, or down: and a target", "neither or both", "write one of them")
        if self.rule is not None and "for_ns" in self.model_fields_set:
            raise Mismatch(
                "the duration of a rule in its text", "for beside it", "write errors > 50% for 10s"
            )
        return self

    def __str__(self) -> str:
        return self.rule or f"{self.down} down for {format_duration_ns(self.for_ns)}"


def _entry(value: Any) -> Any:
    if isinstance(value, str):
        return {"rule": value}
    if not isinstance(value, dict | StopEntry):
        expected = "a rule such as errors > 50% for 10s, or {down: redis, for: 5s}"
        raise Mismatch(expected, kind_of(value), "write one of those")
    return value


Stop = Annotated[StopEntry, BeforeValidator(_entry, json_schema_input_type=str | StopEntry)]


def check_stops(
    entries: Sequence[StopEntry], total_ns: int, topology: Topology | None
) -> Iterator[Violation]:
    """Targets that there are not, or that would have to be down for longer than the run lasts."""
    for index, entry in enumerate(entries):
        if entry.down is None:
            continue
        if topology is not None and entry.down not in topology:
            expected = f"one of the targets {', '.join(topology)}"
            yield Violation((index, "down"), expected, quoted(entry.down), "name one of those")
        if entry.for_ns >= total_ns:
            expected = f"a time shorter than the run, which lasts {format_duration_ns(total_ns)}"
            yield Violation((index, "for"), expected, format_duration_ns(entry.for_ns), "shorten it")


def check_stop_rule(rule: Rule) -> None:
    """Raise RuleError for a rule that is not known of a run before its end."""
    if rule.metric.name not in WATCHED:
        expected = f"one of {', '.join(WATCHED)}: they are known as each window ends"
        raise RuleError(expected, quoted(rule.subject), "use one of those, or {down: redis, for: 5s}")
    if rule.warn is not None:
        raise RuleError("no warn level: the run ends or goes on", quoted(rule.text), "remove the warn level")
