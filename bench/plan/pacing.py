"""When arrivals are planned: a unit-rate sequence carried through the load curve.

Let L(t) be the number of arrivals expected by time t, the integral of the planned rate. Arrival i
has a place s_i on the axis of L: i + 1/2 for constant arrivals (so that none sits on a phase's
edge), a sum of i exponential gaps for Poisson arrivals. It is planned at the time t where
L(t) = s_i. That is exact for ramps too: within a stretch L is a parabola and its inverse closed form
(time rescaling; Brown et al. 2002).

The pacing table has one row per stretch: a phase without cycles is one, a phase with cycles is one of
load and one of rest for each. Nothing is expected of a rest, so no place falls into it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.core.jit import compiled
from bench.plan.draws import unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Columns of a row of the pacing table (float64). Times in ns from run zero, rates in arrivals per ns.
# P_NUMBER: the number of the phase that the stretch is part of. P_REST: 1 for a rest.
P_START_NS, P_DURATION_NS, P_RATE_FROM, P_RATE_TO, P_BEFORE, P_EXPECTED, P_NUMBER, P_REST = range(8)
PACING_COLUMNS = 8


@compiled
def place(poisson: bool, key: np.uint64, index: int, previous: float) -> float:
    """Place of arrival `index` on the axis of expected arrivals, given the place of the one before it."""
    if poisson:
        return previous - math.log(1.0 - unit(key, index))
    return index + 0.5


@compiled
def stretch_of(pacing: NDArray[np.float64], current: int, where: float) -> int:
    """The stretch, at or after `current`, in which a place falls; pacing.shape[0] past the plan's end."""
    while current < pacing.shape[0] and where >= pacing[current, P_BEFORE] + pacing[current, P_EXPECTED]:
        current += 1
    return current


@compiled
def stretch_at(pacing: NDArray[np.float64], near: int, now: int) -> int:
    """The stretch in which the time `now` lies, from `near` on; the first before, the last after all."""
    current = min(near, pacing.shape[0] - 1)
    while current > 0 and now < pacing[current, P_START_NS]:
        current -= 1
    while (
        current < pacing.shape[0] - 1 and now >= pacing[current, P_START_NS] + pacing[current, P_DURATION_NS]
    ):
        current += 1
    return current


@compiled
def planned_ns(stretch: NDArray[np.float64], where: float) -> int:
    """Planned time in ns from run zero of a place that falls into `stretch` (one row of the table)."""
    y = where - stretch[P_BEFORE]
    if y <= 0.0:
        return int(stretch[P_START_NS])  # on the edge; a ramp from nothing would divide zero by zero
    a, b = stretch[P_RATE_FROM], stretch[P_RATE_TO]
    # a·t + (b-a)/(2T)·t² = y, solved in the form that keeps its digits when a and b are close.
    root = math.sqrt(max(a * a + 2.0 * (b - a) * y / stretch[P_DURATION_NS], 0.0))
    offset = 2.0 * y / (a + root)
    # Rounding may reach the end, which is the next stretch's, and that may be a rest.
    return int(stretch[P_START_NS]) + int(min(offset, stretch[P_DURATION_NS] - 1.0))
