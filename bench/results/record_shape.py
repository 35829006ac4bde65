"""What the sections of `run.json` are made of, and whether a value that was read from JSON has that shape.

`bench.results.record` says which sections must be there. Here is what one looks like wherever it is
present: a report that met a text in the place of a number would otherwise end in a traceback of ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

HIGHEST = 2**63 - 1
"""No time and no count of a run is beyond this."""


@dataclass(frozen=True)
class Each:
    """An object of any keys, each with a value of the same shape."""

    shape: Any


@dataclass(frozen=True)
class Needed:
    """Something that must be there in every entry and is never null."""

    shape: Any


def misshapen(found: object, shape: Any, place: str = "") -> str | None:
    """The first thing in `found` that is not as `shape` says, as a sentence with its place, or None.

    A shape is str, bool, int (whole), float (any number) or None (anything), a list of one shape, or an
    object of some keys. Without Needed a text, a number or a flag may be null, and any key may be absent.
    """
    if isinstance(shape, Needed):
        return _refused(place, shape.shape, found) if found is None else misshapen(found, shape.shape, place)
    if shape is None:
        return None
    if isinstance(shape, type):
        return None if found is None or is_of(found, shape) else _refused(place, shape, found)
    if not isinstance(found, list if isinstance(shape, list) else dict):
        return _refused(place, shape, found)
    return next(
        (
            problem
            for step, part, value in _parts(found, shape, place)
            if (problem := misshapen(value, part, step))
        ),
        None,
    )


def _parts(found: Any, shape: Any, place: str) -> list[tuple[str, Any, Any]]:
    """Place, shape and value of everything in a list or an object that is looked at."""
    if isinstance(shape, list):
        return [(f"{place}[{index}]", shape[0], value) for index, value in enumerate(found)]
    before = f"{place}." if place else ""
    if isinstance(shape, Each):
        return [(f"{before}{key}", shape.shape, value) for key, value in found.items()]
    return [
        (f"{before}{key}", part, found.get(key))
        for key, part in shape.items()
        if key in found or isinstance(part, Needed)
    ]


def is_of(found: object, kind: type) -> bool:
    """Whether `found` is a text, a flag or a number of this kind that a run can hold."""
    if isinstance(found, bool):
        return kind is bool
    if kind in (str, bool):
        return isinstance(found, kind)
    if isinstance(found, int):
        return -HIGHEST <= found <= HIGHEST
    return kind is float and isinstance(found, float) and math.isfinite(found)


def _refused(place: str, shape: Any, found: object) -> str:
    return f"{place}: expected {_named(shape)}, found {kind_of(found)}"


def _named(shape: Any) -> str:
    if isinstance(shape, type):
        return NAMES[shape]
    return "a list" if isinstance(shape, list) else "an object"


def kind_of(found: object) -> str:
    """What `found` is, in JSON's words: "a whole number"; "nothing" for null."""
    if isinstance(found, int | float) and not -HIGHEST <= found <= HIGHEST:
        return "a number out of range"  # NaN, too
    return "nothing" if found is None else NAMES.get(type(found), type(found).__name__)


NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


FAULT_SECTIONS: dict[str, dict[str, type | None]] = {
    "faults": {
        "number": int,
        "kind": str,
        "target": str,
        "effective_ns": None,
        "took_effect": bool,
    },
    "detections": {"fault": int, "detector": str, "at_ns": None},
    "false_alarms": {"detector": str, "at_ns": int},
    "recoveries": {
        "fault": int,
        "workload": str,
        "state": str,
        "effective_ns": int,
        "until_ns": int,
        "first_failure_ns": None,
        "first_success_ns": None,
        "stable_ns": None,
        "full_ns": None,
        "quiet_since_ns": None,
        "slow_from_ns": None,
        "full_cut_short": bool,
        "downtime_ns": int,
        "failed": int,
        "stalled": int,
        "brown_out_ns": int,
        "resolution_ns": None,
        "baseline": dict,
    },
    "integrity": {
        "check": str,
        "workload": str,
        "acknowledged": None,
        "found": None,
        "lost": None,
        "unexpected": None,
    },
}
"""Section -> key of each entry -> its type; None for a whole number or null."""

BASELINE = ("from_ns", "until_ns", "band_ns")


def problem_of(record: dict[str, Any]) -> str | None:
    """The first thing that is wrong with these sections, as a sentence; None when they can be relied on."""
    for section, keys in FAULT_SECTIONS.items():
        entries = record.get(section, [])
        if not isinstance(entries, list):
            return f"{section}: expected a list"
        for index, entry in enumerate(entries):
            place = f"{section}[{index}]"
            if not isinstance(entry, dict):
                return f"{place}: expected an object"
            for key, kind in keys.items():
                if key not in entry or not _is_kind(entry[key], kind):
                    return f"{place}.{key}: expected {_kind_name(kind)}"
            missing = [key for key in BASELINE if section == "recoveries" and key not in entry["baseline"]]
            if missing:
                return f"{place}.baseline.{missing[0]}: expected a number or null"
    return None


def _is_kind(value: object, kind: type | None) -> bool:
    if value is None:
        return kind is None
    return isinstance(value, dict) if kind is dict else is_of(value, kind or int)


def _kind_name(kind: type | None) -> str:
    return KIND_NAMES[kind]


KIND_NAMES: dict[type | None, str] = {
    None: "a whole number or null",
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    dict: "an object",
}


PERCENTILES = Each(Needed(int))

RECORD: dict[str, Any] = {
    "holdfast": str,
    "run": str,
    "status": str,
    "measured_ns": int,
    "duration_ns": int,
    "breaker_open_ns": int,
    "scenario": {"name": str, "purpose": str, "text": str, "digest": str, "path": str},
    "sla": [Needed(str)],
    "plan": {"digest": str, "seed": int, "quick": bool, "overrides": [Needed(str)], "segment": [Needed(int)]},
    "started": {"utc": str, "monotonic_ns": int, "wall_ns": int, "run_label": int},
    "stack": {
        "kind": str,
        "targets": [
            Needed(
                {
                    "name": Needed(str),
                    "kind": str,
                    "address": str,
                    "version": str,
                    "container": str,
                    "image": str,
                    "data_directory": str,
                    "settings": Each(str),
                }
            )
        ],
    },
    "versions": Each(str),
    "environment": {"key": Each(None), "facts": {"memory_bytes": int}},
    "calibration": {
        "floor_ns": PERCENTILES,
        "lag_ns": PERCENTILES,
        "table": [
            Needed(
                {
                    "profile": str,
                    "worker": str,
                    "arrivals": int,
                    "rate_per_s": float,
                    "given_ns": PERCENTILES,
                    "recorded_ns": PERCENTILES,
                    "error_ns": PERCENTILES,
                    "lag_ns": PERCENTILES,
                    "late_ns": PERCENTILES,
                }
            )
        ],
    },
    "phases": [
        Needed(
            {
                "name": Needed(str),
                "measured": Needed(bool),
                "start_ns": Needed(int),
                "end_ns": Needed(int),
                "cycles": int,
                "rest": float,
            }
        )
    ],
    "workloads": [
        Needed(
            {
                "driver": str,
                "engine": str,
                "target": str,
                "lanes": int,
                "arrivals": str,
                "rate_per_s": float,
                "deadline_ns": int,
                "operations": [Needed(str)],
                "counters": Each(Needed(int)),
                "errors": [
                    Needed(
                        {"operation": Needed(str), "text": Needed(str), "count": Needed(int), "example": str}
                    )
                ],
            }
        )
    ],
    "response": [
        Needed(
            {
                "workload": Needed(str),
                "operation": str,
                "samples": Needed(int),
                "p50_ns": Needed(int),
                "p95_ns": Needed(int),
                "p99_ns": Needed(int),
                "max_ns": Needed(int),
                "done": int,
            }
        )
    ],
    "generator": {
        "idle_ratio": float,
        "run_delay_ns": int,
        "saturated": bool,
        "busy": [Needed(str)],
        "littles_law": Each(Needed(float)),
    },
    "resources": {
        "samples": int,
        "interval_ns": int,
        "cores": int,
        "cpu_ns_per_sample": int,
        "longest_ns": int,
        "failure": str,
        "others": {
            "cores": Needed(int),
            "others_cores": Needed(float),
            "starved_ratio": Needed(float),
            "held_up_ratio": Needed(float),
            "because": Needed(str),
        },
        "pressure": Each(Needed(float)),
    },
    "pool": Each(Needed({"size": int, "utilization_max": float, "utilization_mean": float})),
    "data_sets": [
        Needed({"target": Needed(str), "name": str, "scale": int, "files": [Needed(str)], "rows": Each(int)})
    ],
    "anomalies": [Needed({"code": str, "severity": str, "message": str, "advice": str})],
    "faults": [
        Needed(
            {
                **dict.fromkeys(
                    ("planned_ns", "asked_ns", "effective_ns", "returned_ns", "heal_asked_ns", "healed_ns"),
                    int,
                ),
                **dict.fromkeys(("how", "proof", "mended_by"), str),
                "uncertainty_ns": int,
                "healed": bool,
            }
        )
    ],
    "proxies": [
        Needed(
            {
                "target": Needed(str),
                "ended": str,
                "compiled": bool,
                "reads": int,
                "dials_failed": int,
                **dict.fromkeys(("most_ready", "stalls", "stalled_ns"), int),
                **dict.fromkeys(("busy_ratio", "cpu_ratio", "run_queue_ratio"), float),
                "lateness_ns": PERCENTILES,
                "later_than": [Needed([Needed(int)])],
                "floor_ns": PERCENTILES,
                "lag_ns": PERCENTILES,
                "table": [None],
            }
        )
    ],
    "detections": [Needed({"at_ns": int, "detail": str, "state": str, "alarm_since_ns": int})],
    "outages": [
        Needed(
            {
                "workload": Needed(str),
                **dict.fromkeys(("from_ns", "until_ns", "failed", "planned", "resolution_ns"), Needed(int)),
                "whose": Needed(str),
                "fault": int,
            }
        )
    ],
    "false_alarms": [Needed({"detector": str, "at_ns": int, "detail": str, "target": str})],
    "recoveries": [
        Needed(
            {
                "reconnects": {"count": Needed(int), "p50_ns": int, "max_ns": int},
                "brown_out": {"before_ns": int, "outage_ns": int, "after_ns": int},
                "outcomes": Each(Needed(int)),
                "baseline": {
                    "from_ns": Needed(int),
                    "until_ns": Needed(int),
                    "samples": int,
                    "p99_ns": int,
                    "band_ns": int,
                    "stall_ns": int,
                    "harmed_ratio": float,
                    "ok_per_s": float,
                    "planned_per_s": float,
                },
            }
        )
    ],
    "integrity": [
        Needed(
            {
                **dict.fromkeys(("acknowledged", "found", "lost", "unexpected", "unknown_survived"), int),
                **dict.fromkeys(("bound", "inconclusive"), str),
                "oldest_lost_age_ns": int,
                "examples": [None],
            }
        )
    ],
    "workers": [Needed({"name": Needed(str), "host": str, "lost": str, "idle_ratio": float})],
}
