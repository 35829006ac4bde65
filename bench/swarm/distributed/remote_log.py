"""Operation logs of workers, fetched in pieces so that nobody holds one whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.engine.wire.engine import share_of
from bench.engine.wire.layout import LOG_RECORD
from bench.swarm.distributed.codec import unpacked_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plan.plan import WorkloadPlan
    from bench.swarm.distributed.coordinator import Coordinator
    from bench.swarm.distributed.worker import Worker

PIECE = 32_768
PIECE_S = 30.0
NEVER = -1


def fetch_log(
    fleet: Coordinator,
    worker: Worker,
    number: int,
    file: int,
    to: Path,
    plan: WorkloadPlan,
    duration_ns: int,
) -> int:
    """Write one log to `to` and return how many records there are: fewer where the worker is lost.

    Times are put on the coordinator's clock. Its run zero is right from the start; what a clock that is
    not ours drifted until the end is spread evenly.
    """
    part = worker.parts[number]
    segment, lanes = part.segment, plan.workload.lanes
    first_lane = sum(share_of(lanes, segment.count, before) for before in range(segment.number))
    drift = worker.clock.drift_ns / max(duration_ns, 1)
    length, at = part.log_lengths[file], 0
    with to.open("wb") as out:
        while at < length:
            piece = _piece(fleet, worker, number, file, at)
            if piece is None or not len(piece):
                break
            for name in ("planned_ns", "sent_ns", "done_ns"):
                times = piece[name]
                moved = times - np.rint(times * drift).astype(np.int64)
                piece[name] = np.where(times == NEVER, NEVER, moved)
            piece["lane"][piece["lane"] != NEVER] += first_lane
            out.write(piece.tobytes())
            at += len(piece)
    return at


def _piece(
    fleet: Coordinator, worker: Worker, number: int, file: int, first: int
) -> np.ndarray[tuple[int], np.dtype[np.void]] | None:
    part = worker.parts[number]
    piece: dict[str, Any] | None = None

    def has_come() -> bool:
        nonlocal piece
        piece, part.piece = part.piece, None
        return piece is not None or worker.is_lost or part.failure is not None

    with fleet.changed:
        fleet.post(worker, "log", workload=number, file=file, first=first, count=PIECE)
        fleet.changed.wait_for(has_come, PIECE_S)
        if part.failure is not None:
            raise part.failure
    if piece is None:
        fleet.lost(worker.name, "a piece of its operation log did not come")
        return None
    try:
        content = unpacked_bytes(piece["content"], PIECE * LOG_RECORD.itemsize)
        return np.frombuffer(content, dtype=LOG_RECORD).copy()
    except ValueError:
        fleet.lost(worker.name, "refused, because it sent a damaged piece of its operation log")
        return None
