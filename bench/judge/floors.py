"""The floors of this machine, as the run's calibration found them against a server of known delays.

Below the floor an observed time is mostly the measuring itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.judge.measures import percent_of

if TYPE_CHECKING:
    from bench.results.reader import Run

MIDDLE = 50.0
HIGHEST = 100.0


def floor_ns(run: Run, metric: str, stat: str, workload: str | None = None) -> float | None:
    """The floor at the calibrated percentile nearest to `stat`; None where the run has none.

    The mean takes the floor of P50, the maximum that of the highest percentile. workload: the one that is
    asked about, else all. Where one goes through a fault proxy it is the floor of the way through that.
    """
    name = "lag_ns" if metric == "lag" else "floor_ns"
    tables = [run.record.get("calibration", {}).get(name, {})]
    if metric != "lag":
        targets = {entry.get("target") for entry in run.workloads if workload in (None, entry["name"])}
        tables += [
            one.get("floor_ns", {}) for one in run.record.get("proxies", []) if one["target"] in targets
        ]
    found = [floor for table in tables if (floor := _in_table(table, stat)) is not None]
    return max(found, default=None)


def _in_table(table: dict[str, int], stat: str) -> float | None:
    floors = {percent_of(name): float(value) for name, value in table.items() if _is_percentile(name)}
    if not floors:
        return None
    percent = {"mean": MIDDLE, "max": HIGHEST}.get(stat) or percent_of(stat)
    return floors[min(floors, key=lambda known: abs(known - percent))]


def _is_percentile(name: str) -> bool:
    return name.startswith("p") and name[1:].replace(".", "", 1).isdigit()
