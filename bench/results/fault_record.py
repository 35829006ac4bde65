"""What the sections about faults in `run.json` must hold, as far as judge and reports calculate with it."""

from __future__ import annotations

from typing import Any

from bench.results.shape import is_of

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
                if key not in entry or not _is(entry[key], kind):
                    return f"{place}.{key}: expected {_name(kind)}"
            missing = [key for key in BASELINE if section == "recoveries" and key not in entry["baseline"]]
            if missing:
                return f"{place}.baseline.{missing[0]}: expected a number or null"
    return None


def _is(value: object, kind: type | None) -> bool:
    if value is None:
        return kind is None
    return isinstance(value, dict) if kind is dict else is_of(value, kind or int)


def _name(kind: type | None) -> str:
    return NAMES[kind]


NAMES: dict[type | None, str] = {
    None: "a whole number or null",
    int: "a whole number",
    str: "a text",
    bool: "true or false",
    dict: "an object",
}
