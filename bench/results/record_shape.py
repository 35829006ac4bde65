"""What the sections of `run.json` are made of, as far as reports show them or calculate with them.

`bench.results.record` says which sections must be there. Here stands what one is, wherever it is: a
report that meets a text in the place of a number would else end in our own traceback.
"""

from __future__ import annotations

from typing import Any

from bench.results.shape import Each, Needed

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
