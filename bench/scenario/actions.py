"""Actions: commands of the user's own that a run gives at their time, as an operator or a deployment would.

    {name: reload, run: [nginx, -s, reload], at: 10s}

No shell sees them. What they cost is known as that of faults is: arrivals that failed, and how long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bench.core.units import format_duration_ns, quoted
from bench.scenario.faults import Start
from bench.scenario.fields import Duration, Name, StrictModel, Text
from bench.scenario.problems import Violation

if TYPE_CHECKING:
    from bench.registry import Topology

NS_PER_S = 1_000_000_000
Command = Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)]


class ActionEntry(StrictModel):
    """One entry under `actions`."""

    name: Name
    run: Command = Field(description="The program and its arguments: [nginx, -s, reload]. No shell.")
    at_ns: Start = Field(alias="at", description="From the start of the run.")
    target: Name | None = Field(
        None, description="The target that it is done to, where workloads talk to several."
    )
    for_ns: Duration | None = Field(
        None, alias="for", description="How long until it is undone; to the end of the run if not said."
    )
    undo: Command | None = Field(
        None, description="What takes it back, also after a harness that was killed."
    )
    proof: Command | None = Field(
        None, description="Asked until it ends with status 0: only then the action took effect."
    )
    within_ns: Duration = Field(
        30 * NS_PER_S,
        alias="within",
        description="How long each command may take.",
        json_schema_extra={"default": "30s"},
    )


def check_actions(
    actions: Sequence[ActionEntry], targets: Sequence[str], total_ns: int, topology: Topology | None
) -> Iterator[Violation]:
    """Actions that come too late, have one name, or are done to nothing that the load would notice."""
    seen: set[str] = set()
    for index, action in enumerate(actions):
        if action.name in seen:
            yield Violation((index, "name"), "an action's name once", quoted(action.name), "rename one")
        seen.add(action.name)
        if action.for_ns is not None and action.undo is None:
            yield Violation((index, "for"), "for only with undo", "for alone", "add undo, or remove for")
        known = targets if topology is None else tuple(topology)
        if action.target is not None and action.target not in known:
            expected = f"one of the targets {', '.join(known)}"
            yield Violation((index, "target"), expected, quoted(action.target), "name one of those")
        elif action.target is None and len(set(targets)) > 1:
            expected = f"the target that it is done to, one of {', '.join(dict.fromkeys(targets))}"
            yield Violation((index,), expected, "none", "add target")
        if (ends_ns := action.at_ns + (action.for_ns or 0)) >= total_ns:
            expected = f"every action to be over before the run ends at {format_duration_ns(total_ns)}"
            advice = "make the run longer, or the action earlier"
            yield Violation((index,), expected, f"one at {format_duration_ns(ends_ns)}", advice)
