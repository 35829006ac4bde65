"""What engines counted, as values that JSON knows: exact, and small where little was counted."""

from __future__ import annotations

import base64
import zlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.answers import Answers
from bench.core.histogram import empty
from bench.engine.api import EngineResult, EngineStats
from bench.swarm.web.event_publisher import sparse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.core.histogram import Counts
    from bench.engine.board import Change

LIGHT = 1
"""zlib's level: a worker has other things to do."""
MOST_BYTES = 1 << 28


def packed_changes(changes: Iterable[Change]) -> list[list[Any]]:
    """[row, kind, outcome, buckets, counts] for each histogram."""
    return [[one.row, one.kind, int(one.outcome), *sparse(one.counts)] for one in changes]


def dense(buckets: list[int], counts: list[int]) -> Counts:
    """The histogram that `sparse` was made of."""
    found = empty()
    found[buckets] = counts
    return found


def packed_live(live: EngineStats) -> dict[str, Any]:
    """A look at a workload."""
    return {**asdict(live), "outcomes": list(live.outcomes), "answers": live.answers.record()}


def unpacked_live(values: dict[str, Any]) -> EngineStats:
    """The same look."""
    answers = Answers.from_record(values["answers"])
    return EngineStats(**{**values, "outcomes": tuple(values["outcomes"]), "answers": answers})


def packed_result(result: EngineResult) -> dict[str, Any]:
    """Everything that an engine says at its end."""
    values = {name: getattr(result, name) for name in EngineResult.__dataclass_fields__}
    return {
        **values,
        "taken": result.taken.tolist(),
        "tallies": result.tallies.tolist(),
        "answers": [[row, found.record()] for row, found in result.answers.items()],
    }


def unpacked_result(values: dict[str, Any]) -> EngineResult:
    """The same result."""
    return EngineResult(
        **{
            **values,
            "taken": np.array(values["taken"], dtype=np.int64),
            "tallies": np.array(values["tallies"], dtype=np.int64),
            "answers": {row: Answers.from_record(found) for row, found in values["answers"]},
            "anomalies": [tuple(anomaly) for anomaly in values["anomalies"]],
        }
    )


def packed_bytes(content: bytes) -> str:
    """Bytes as text, compressed."""
    return base64.b64encode(zlib.compress(content, LIGHT)).decode()


def unpacked_bytes(text: str, most: int = MOST_BYTES) -> bytes:
    """The same bytes. Raises ValueError for anything else, and for more than `most`."""
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(base64.b64decode(text, validate=True), most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if machine.unconsumed_tail or not machine.eof:
        raise ValueError(f"expected at most {most} bytes, found more or a part")
    return content
