"""What a measurement is compared with: fixed work, measured between the rounds of it.

A machine that is slow today, or busy, is slow for both, so their ratio holds where times do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPILED_STEPS = 200_000
INTERPRETED_STEPS = 5_000


@compiled
def _stir(table: NDArray[np.int64], steps: int) -> int:
    """Shifts, a look-up and an addition, each waiting for the one before it."""
    value = np.int64(88172645463325252)
    for _ in range(steps):
        value ^= value << 13
        value ^= (value >> 7) & 0x1FFFFFFFFFFFFFF
        value ^= value << 17
        table[value & 1023] += 1
    return value


_TABLE = np.zeros(1024, dtype=np.int64)


def compiled_steps() -> int:
    """COMPILED_STEPS steps of compiled code."""
    _stir(_TABLE, COMPILED_STEPS)
    return COMPILED_STEPS


def interpreted_steps() -> int:
    """INTERPRETED_STEPS steps of plain Python: a call, a dictionary, a few objects."""
    seen: dict[str, int] = {}
    for number in range(INTERPRETED_STEPS):
        name = f"key:{number & 255}"
        seen[name] = seen.get(name, 0) + len(name)
    return INTERPRETED_STEPS
