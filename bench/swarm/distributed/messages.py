"""The messages between a coordinator and its workers: what engines counted and what failed as JSON values,
and the check of everything that a worker sends. Pure.

A worker whose message is damaged, or whose sums cannot be right, is rejected with the reason. Its part
of the load is missing from then on, and the others continue.
"""

from __future__ import annotations

import base64
import traceback
import zlib
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.answers import Answers
from bench.core.errors import ExitCode, HoldfastError, StatementRefused, TargetError
from bench.core.histogram import BUCKET_COUNT, empty
from bench.core.machine_limits import BUG, failure_of
from bench.core.outcome import OUTCOME_COUNT
from bench.engine.api import EngineResult, EngineStats
from bench.results.record_shape import RECORD, Each, Needed, is_of, misshapen
from bench.swarm.channel import sparse
from bench.swarm.distributed.worker import MOST_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.core.histogram import Counts
    from bench.engine.board import Change
    from bench.swarm.distributed.worker import RemotePart


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


class WorkerError(TargetError):
    """A worker cannot do its part: it, or its way to the target, is not as it should be."""

    def __init__(self, worker: str, sentence: str, exit_code: int = ExitCode.TARGET) -> None:
        self.target = self.worker = worker
        self.exit_code = ExitCode(exit_code)
        HoldfastError.__init__(self, f"worker {worker}: {sentence}")


def packed_failure(error: Exception) -> dict[str, Any]:
    """An error as values; the traceback of one that is our bug goes to standard error here."""
    if isinstance(error, StatementRefused):
        parts = [list(error.path), error.offset, error.expected, error.found, error.advice]
        return {"refused": parts, "message": str(error), "exit_code": int(error.exit_code)}
    text, code = failure_of(error)
    if text == BUG:
        traceback.print_exception(error)
        text = (
            f"{type(error).__name__}: {error}; this is a bug in Holdfast: the worker's log has its traceback"
        )
    return {"message": text.removeprefix("bench: "), "exit_code": int(code)}


def unpacked_failure(worker: str, values: dict[str, Any]) -> HoldfastError:
    """The error to raise."""
    if "refused" in values:
        path, offset, expected, found, advice = values["refused"]
        return StatementRefused(tuple(path), offset, expected, f"{found} (on worker {worker})", advice)
    return WorkerError(worker, values["message"], values["exit_code"])


MOST_EVENTS = 10_000
"""In one window."""

WORKLOAD = {"workload": Needed(int)}
ANSWERS = Needed({"hits": int, "misses": int, "statuses": Each(Needed(int))})
LIVE = {one.name: Needed(int) for one in fields(EngineStats)} | {
    "outcomes": Needed([Needed(int)]),
    "answers": ANSWERS,
    "pool_in_use": int,
}
GAINS = Needed([Needed([Needed(None)])])
SHAPES: dict[str, dict[str, Any]] = {
    "here": {
        **dict.fromkeys(("sent_ns", "at_ns", "pid", "protocol"), Needed(int)),
        **dict.fromkeys(("host", "boot", "time_namespace", "network_namespace"), Needed(str)),
    },
    "beat": {"generator_cpu_ratio": float, "generator_rss_bytes": float},
    "calibrated": {"calibration": Needed(RECORD["calibration"])},
    "planned": {},
    "prepared": WORKLOAD,
    "late": {**WORKLOAD, "by_ns": Needed(int)},
    "window": {
        **WORKLOAD,
        "number": Needed(int),
        "is_last": Needed(bool),
        "gains": GAINS,
        "live": Needed(LIVE),
        "events": Needed([Needed({"at_ns": Needed(int), "kind": Needed(str)})]),
    },
    "result": {
        **WORKLOAD,
        "gains": GAINS,
        "logs": Needed([Needed(int)]),
        "result": Needed(
            {
                "taken": Needed([Needed(int)]),
                "tallies": Needed([Needed([Needed(int)])]),
                "idle_ratio": Needed(float),
                "busy_ns": float,
                "counters": Needed(Each(Needed(int))),
                "errors": Needed(
                    [{"operation": Needed(str), "text": Needed(str), "count": Needed(int), "example": str}]
                ),
                "anomalies": Needed([Needed([str])]),
            }
        ),
    },
    "log_piece": {**WORKLOAD, "file": Needed(int), "first": Needed(int), "content": Needed(str)},
    "failed": {"error": Needed({"message": Needed(str), "exit_code": Needed(int)})},
}


def problem_of(message: object) -> str | None:
    """What is wrong with the form of a message; None when it can be read."""
    if not isinstance(message, dict):
        return "it sent what is no message"
    kind = message.get("kind")
    shape = SHAPES.get(kind) if isinstance(kind, str) else None
    if shape is None:
        return "it sent a message of an unknown kind"
    problem = misshapen(message, shape)
    return f"it sent a damaged message: {kind}.{problem}" if problem else None


def problem_of_window(message: dict[str, Any], part: RemotePart) -> str | None:
    """What cannot be in a window of this part."""
    number, live = message["number"], message["live"]
    if part.has_ended or part.result is not None:
        return f"it sent window {number} after its last one"
    if number <= part.newest:
        return f"it sent window {number} after window {part.newest}"
    if len(message["events"]) > MOST_EVENTS or any("self" in event for event in message["events"]):
        return "it sent events that cannot be"
    counts = [value for name, value in live.items() if type(value) is int and name != "idle_ns"]
    if len(live["outcomes"]) != OUTCOME_COUNT or min([*counts, *live["outcomes"]]) < 0:
        return "it sent a count below zero"
    return _problem_of_gains(message["gains"], part)


def problem_of_result(message: dict[str, Any], part: RemotePart) -> str | None:
    """What cannot be in a part's result, which is the sum of what was sent before."""
    result, rows = message["result"], len(part.tallies)
    if part.result is not None:
        return "it sent a second result"
    if len(result["taken"]) != rows or [len(row) for row in result["tallies"]] != [OUTCOME_COUNT] * rows:
        return "it sent a result with rows that are not in the plan"
    told = [count for row in result["tallies"] for count in row]
    counts = [*told, *result["taken"], *message["logs"], *result["counters"].values()]
    if min(counts, default=0) < 0 or max(counts, default=0) >= MOST_COUNTED:
        return "it sent a count that cannot be"
    for key in ("phase_idle_ratios", "phase_lag_p50_ns"):
        if result.get(key) and len(result[key]) != part.phases:
            return f"it sent {len(result[key])} phases, where the plan has {part.phases}"
    if problem := _problem_of_gains(message["gains"], part):
        return problem
    sums = part.tallies.copy()
    for row, kind, outcome, _, counts in message["gains"]:
        sums[row, outcome] += sum(counts) if kind == "response" else 0
    if sums[part.planned].tolist() != [result["tallies"][row] for row in part.planned]:
        return "its result is not the sum of the windows that it sent"
    if any(length > part.most_arrivals for length in message["logs"]):
        return "it claims more records than its part of the plan has arrivals"
    return None


def _problem_of_gains(gains: list[list[Any]], part: RemotePart) -> str | None:
    claimed = int(part.tallies[part.planned].sum())
    for gain in gains:
        if problem := _problem_of_gain(gain, len(part.tallies)):
            return problem
        if gain[1] == "response" and gain[0] in part.planned:
            claimed += sum(gain[4])
    if claimed > part.most_arrivals:
        return f"it claims {claimed} arrivals, more than the {part.most_arrivals} that its part can have"
    return None


def _problem_of_gain(gain: list[Any], rows: int) -> str | None:
    if len(gain) != 5:
        return "it sent a histogram without its parts"
    row, kind, outcome, buckets, counts = gain
    if not (is_of(row, int) and 0 <= row < rows and is_of(outcome, int) and 0 <= outcome < OUTCOME_COUNT):
        return "it sent a histogram of a row or an outcome that is not in the plan"
    if not isinstance(kind, str) or not kind.isidentifier():
        return "it sent a histogram of an unknown kind"
    if not (isinstance(buckets, list) and isinstance(counts, list) and len(buckets) == len(counts)):
        return "it sent a histogram whose buckets have no counts"
    if not all(type(one) is int for one in (*buckets, *counts)):
        return "it sent a histogram with a count that is no whole number"
    if any(not 0 <= one < BUCKET_COUNT for one in buckets) or len(set(buckets)) != len(buckets):
        return "it sent a histogram with buckets that are none"
    if any(not 0 < one < MOST_COUNTED for one in counts):
        return "it sent a histogram with a count that cannot be"
    return None
