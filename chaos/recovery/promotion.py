"""Who was the primary when, and who became it after a fault on the one before. Pure: no clock, no files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.registry import PRIMARY
from bench.results.fault_records import FaultRecord, PromotionRecord, RoleRecord


def promotions(
    roles: Sequence[RoleRecord], faults: Iterable[FaultRecord], until_ns: int
) -> list[PromotionRecord]:
    """One for each fault that hit a primary, in the order of time; watched until the next one, or `until_ns`.

    What counts is a server's own word that it is the primary, of another server than the one that was hit:
    an old primary that is paused, or cut off, goes on to say so of itself.
    """
    hit = [fault for fault in faults if fault.role == PRIMARY and fault.process and fault.took_effect]
    hit = sorted((fault for fault in hit if fault.effective_ns is not None), key=_effective_ns)
    found = []
    for number, fault in enumerate(hit):
        later_ns = _effective_ns(hit[number + 1]) if number + 1 < len(hit) else until_ns
        made = next((one for one in _made(roles, fault) if one.at_ns < later_ns), None)
        found.append(
            PromotionRecord(
                fault=fault.number,
                target=fault.target,
                before=fault.process or "",
                process=made.process if made else None,
                at_ns=made.at_ns if made else None,
            )
        )
    return found


def splits(roles: Sequence[RoleRecord], target: str, until_ns: int) -> list[tuple[int, int]]:
    """From when to when more servers of a target said to be a primary than at run zero, which a cluster has
    several of; in the order of time.
    """
    found, primaries, since_ns = list[tuple[int, int]](), set[str](), None
    said = sorted((one for one in roles if one.target == target), key=lambda one: one.at_ns)
    at_first = {one.process: one.role for one in said if one.at_ns == 0}
    usual = max(sum(role == PRIMARY for role in at_first.values()), 1)
    for one in said:
        (primaries.add if one.role == PRIMARY else primaries.discard)(one.process)
        if len(primaries) > usual and since_ns is None:
            since_ns = one.at_ns
        elif len(primaries) <= usual and since_ns is not None:
            found.append((since_ns, one.at_ns))
            since_ns = None
    return found if since_ns is None else [*found, (since_ns, until_ns)]


def _made(roles: Sequence[RoleRecord], fault: FaultRecord) -> list[RoleRecord]:
    """The words of others that they are the primary, since the fault took effect."""
    return sorted(
        (
            one
            for one in roles
            if one.target == fault.target
            and one.role == PRIMARY
            and one.process != fault.process
            and one.at_ns >= _effective_ns(fault)
        ),
        key=lambda one: one.at_ns,
    )


def _effective_ns(fault: FaultRecord) -> int:
    return fault.effective_ns or 0
