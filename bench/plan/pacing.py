"""When arrivals are planned: a unit-rate sequence carried through the load curve.

Let L(t) be the number of arrivals expected by time t, the integral of the planned rate. Arrival i
has a place s_i on the axis of L: i + 1/2 for constant arrivals (so that none sits on a phase's
edge), a sum of i exponential gaps for Poisson arrivals. It is planned at the time t where
L(t) = s_i. That is exact for ramps too: within a phase L is a parabola and its inverse closed form
(time rescaling; Brown et al. 2002).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.jit import compiled
from bench.plan.draws import unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Columns of a row of the phase table (float64). Times in ns from run zero, rates in arrivals per ns.
P_START_NS, P_DURATION_NS, P_RATE_FROM, P_RATE_TO, P_BEFORE, P_EXPECTED = 0, 1, 2, 3, 4, 5
PHASE_COLUMNS = 6


@compiled
def place(poisson: bool, key: np.uint64, index: int, previous: float) -> float:
    """Place of arrival `index` on the axis of expected arrivals, given the place of the one before it."""
    if poisson:
        return previous - math.log(1.0 - unit(key, index))
    return index + 0.5


@compiled
def phase_at(phases: NDArray[np.float64], current: int, where: float) -> int:
    """The phase, at or after `current`, in which a place falls; phases.shape[0] when past the plan's end."""
    while current < phases.shape[0] and where >= phases[current, P_BEFORE] + phases[current, P_EXPECTED]:
        current += 1
    return current


@compiled
def planned_ns(phase: NDArray[np.float64], where: float) -> int:
    """Planned time in ns from run zero of a place that falls into `phase` (one row of the table)."""
    y = where - phase[P_BEFORE]
    if y <= 0.0:
        return int(phase[P_START_NS])  # on the edge; a ramp from nothing would divide zero by zero
    a, b = phase[P_RATE_FROM], phase[P_RATE_TO]
    # a·t + (b-a)/(2T)·t² = y, solved in the form that keeps its digits when a and b are close.
    root = math.sqrt(max(a * a + 2.0 * (b - a) * y / phase[P_DURATION_NS], 0.0))
    offset = 2.0 * y / (a + root)
    return int(phase[P_START_NS] + min(offset, phase[P_DURATION_NS]))
