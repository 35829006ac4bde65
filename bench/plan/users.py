"""How many users run at each moment: the lanes of a workload, scaled by the load of the phases. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.plan.plan import PhasePlan


class UserStretch(NamedTuple):
    """A piece of the plan in which the number of users moves evenly; times in ns from run zero."""

    start_ns: int
    end_ns: int
    users_from: float
    users_to: float


def user_stretches(phases: Iterable[PhasePlan], lanes: int) -> list[UserStretch]:
    """The whole plan for a workload of `lanes` users at 100 % load; no user runs in a rest."""
    found = []
    for phase in phases:
        slope = (phase.load_to - phase.load_from) / (phase.end_ns - phase.start_ns)
        for piece in phase.stretches():
            ends = [
                0.0 if piece.is_rest else lanes * (phase.load_from + slope * (at - phase.start_ns))
                for at in (piece.start_ns, piece.end_ns)
            ]
            found.append(UserStretch(piece.start_ns, piece.end_ns, *ends))
    return found


def users_at(stretches: Sequence[UserStretch], at_ns: int) -> int:
    """Users that run at `at_ns` from run zero: rounded, but one at least wherever there is any load.

    None before the first stretch and from the end of the last one on.
    """
    for stretch in stretches:
        if stretch.start_ns <= at_ns < stretch.end_ns:
            share = (at_ns - stretch.start_ns) / (stretch.end_ns - stretch.start_ns)
            users = stretch.users_from + (stretch.users_to - stretch.users_from) * share
            return max(int(users + 0.5), 1) if stretch.users_from + stretch.users_to > 0 else 0
    return 0
