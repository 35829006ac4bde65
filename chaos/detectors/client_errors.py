"""The clients themselves: operations that fail, one after the other."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.outcome import Outcome
from chaos.detectors.observation import Observation

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIENT_ERRORS = "client_errors"
IN_A_ROW = 3


def client_observations(operations: NDArray[Any], target: str, zero_ns: int) -> list[Observation]:
    """Down when IN_A_ROW operations ended not OK with no OK between them, up with the next OK.

    operations: the log of the workloads of one target (bench.engine.wire.layout.LOG_RECORD); zero_ns is run
    zero on CLOCK_MONOTONIC. Ends count in the order in which they became known.
    """
    found: list[Observation] = []
    order = np.argsort(operations["done_ns"], kind="stable")
    failed = operations["outcome"][order] != int(Outcome.OK)
    done = operations["done_ns"][order]
    row, is_down = 0, False
    # Runs of equal ends: a loop over changes, not over operations.
    edges = np.flatnonzero(np.diff(failed.astype(np.int8))) + 1
    bounds = [0, *edges.tolist(), failed.size] if failed.size else []
    for start, end in pairwise(bounds):
        row = end - start
        if failed[start] and row >= IN_A_ROW and not is_down:
            is_down = True
            at_ns = int(done[start + IN_A_ROW - 1]) + zero_ns
            found.append(
                Observation(CLIENT_ERRORS, target, at_ns, True, f"{IN_A_ROW} operations in a row failed")
            )
        elif not failed[start] and is_down:
            is_down = False
            found.append(
                Observation(
                    CLIENT_ERRORS, target, int(done[start]) + zero_ns, False, "an operation is OK again"
                )
            )
    return found
