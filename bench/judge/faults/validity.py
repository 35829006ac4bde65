"""Whether the faults of a run were what the run says: proven to have taken effect, and undone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.judge.faults.times import NOTHING, named
from bench.judge.status import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.results.reader import Run

RETURNS_BY_ITSELF = frozenset({"kill", "crash", "stop", "restart"})
"""The target has to start again: where it does not, it is the target that failed and not the harness."""

Found = tuple[str, str, str, Status]
"""Code, because, advice, status."""


def fault_findings(run: Run) -> Iterator[Found]:
    """What the faults say about the run as a whole. INVALID where it was no test of the target."""
    faults = run.record.get("faults", [])
    without = [one for one in faults if not one.get("took_effect") and one["kind"] != NOTHING]
    held = [one for one in faults if one.get("took_effect") and not one.get("healed")]
    held = [one for one in held if one["kind"] != NOTHING]
    # healed is null where nobody but the target was to mend it.
    away = [one for one in held if one.get("healed") is None or one["kind"] in RETURNS_BY_ITSELF]
    left = [one for one in held if one not in away]
    if without:
        because = f"there is no proof that {_listed(without, faults, 'took effect')}"
        yield "fault_without_effect", because, "look at events.jsonl for what was done to it", Status.INVALID
    if left:
        because = f"there is no proof that {_listed(left, faults, 'was undone')}"
        yield "fault_not_healed", because, "run bench heal, then run it again", Status.INVALID
    if away:
        because = f"the target did not come back after {_listed(away, faults, '')}"
        yield "target_not_back", because, "look at the server's log and at who restarts it", Status.FAIL


def _listed(chosen: list[dict[str, Any]], faults: list[dict[str, Any]], what: str) -> str:
    """The first of them, how many there are, and what the proof of the first says."""
    proof = f": {chosen[0]['proof']}" if chosen[0].get("proof") else ""
    more = f" and {len(chosen) - 1} more of {len(faults)}" if len(chosen) > 1 else ""
    return f"{named(chosen[0])}{more} {what}".rstrip() + proof
