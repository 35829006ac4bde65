"""Are outages what they are said to be? `python -m tests.chaos.outage_edges [--repeat N]` prints a table.

Redis is killed and crashed under 1000 requests a second, and a program that knows nothing of the
harness watches the port from outside (`observer.py`). The edges that run.json has are compared with
those that it saw. Both share CLOCK_MONOTONIC and nothing else.

The observer's round takes time itself: an edge lies between its last round of one kind and its first of
the other. A difference is counted from that interval's nearer end, and shown from the observer's stamp.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.histogram import percentile_ns
from bench.stack.embedded import EmbeddedStack
from tests.chaos.in_process import run_file

FOLDER = Path(__file__).parent
SCENARIOS = FOLDER.parents[1] / "scenarios"
MS = 1e6


@dataclass(frozen=True)
class Edges:
    """One outage by both; ns from run zero."""

    fault: str
    failure_ns: int
    success_ns: int
    seen_bad_ns: int
    seen_last_good_ns: int
    seen_good_ns: int
    seen_good_begin_ns: int

    @property
    def failure_apart_ns(self) -> int:
        """From the interval in which the observer says that it went down; 0 inside of it."""
        return _outside(self.failure_ns, self.seen_last_good_ns, self.seen_bad_ns)

    @property
    def success_apart_ns(self) -> int:
        """From the interval in which the observer says that it came back; 0 inside of it."""
        return _outside(self.success_ns, self.seen_good_begin_ns, self.seen_good_ns)


def _outside(at_ns: int, from_ns: int, to_ns: int) -> int:
    return min(at_ns - from_ns, 0) + max(at_ns - to_ns, 0)


def compared(scenario: Path, folder: Path, *overrides: str) -> tuple[list[Edges], int]:
    """Run it with the observer beside; one entry for each fault that both have seen.

    And how late the generator was by itself, P99 in ns: no edge can be known better.
    """
    with EmbeddedStack({"redis"}, folder) as stack:
        target = stack.targets()["redis"]
        with subprocess.Popen(
            [sys.executable, "-I", "-S", str(FOLDER / "observer.py"), target.host, str(target.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as observer:
            try:
                run = run_file(stack, folder, scenario, *overrides).run
            finally:
                text, _ = observer.communicate()
    late_ns = percentile_ns(run.histogram("late"), 99)
    return _edges(run.record, [json.loads(line) for line in text.splitlines()]), late_ns


def _edges(record: dict[str, Any], outages: list[dict[str, int]]) -> list[Edges]:
    zero_ns = record["started"]["monotonic_ns"]
    found = []
    for recovery in record["recoveries"]:
        fault = record["faults"][recovery["fault"]]
        until_ns = recovery["until_ns"]
        mine = [
            {name: at_ns - zero_ns for name, at_ns in outage.items()}
            for outage in outages
            if outage["good_ns"] is not None and fault["asked_ns"] < outage["bad_ns"] - zero_ns < until_ns
        ]
        first = mine[0] if mine else None
        if first is None or recovery["first_failure_ns"] is None or recovery["first_success_ns"] is None:
            continue
        found.append(
            Edges(
                f"{fault['number']} {fault['kind']}",
                recovery["first_failure_ns"],
                recovery["first_success_ns"],
                first["bad_ns"],
                first["last_good_ns"],
                first["good_ns"],
                first["good_begin_ns"],
            )
        )
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="outage edges by the harness and by an observer")
    parser.add_argument("--scenario", nargs="*", default=["redis_kill", "redis_crash"])
    parser.add_argument("--repeat", type=int, default=1, help="how often each scenario is run")
    options = parser.parse_args()
    say = sys.stdout.write
    say(f"{'':<24}{'first failure, ms':>36}{'first success, ms':>40}\n")
    heads = ("ours", "observer", "apart", "ours", "observer", "apart")
    say(f"{'fault':<24}" + "".join(f"{head:>12}" for head in heads) + "\n")
    apart: list[int] = []
    for name in options.scenario:
        for _ in range(options.repeat):
            with tempfile.TemporaryDirectory() as folder:
                edges, late_ns = compared(SCENARIOS / f"{name}.yaml", Path(folder))
                for one in edges:
                    row = (
                        one.failure_ns,
                        one.seen_bad_ns,
                        one.failure_apart_ns,
                        one.success_ns,
                        one.seen_good_ns,
                        one.success_apart_ns,
                    )
                    say(f"{name + ' ' + one.fault:<24}" + "".join(f"{ns / MS:>12.3f}" for ns in row) + "\n")
                    apart += [abs(one.failure_apart_ns), abs(one.success_apart_ns)]
                say(f"{'':<24}the generator itself was late by {late_ns / MS:.3f} ms (P99)\n")
                sys.stdout.flush()
    apart.sort()
    within = sum(ns <= 2 * MS for ns in apart)
    say(f"\n{within} of {len(apart)} edges within 2 ms; median {apart[len(apart) // 2] / MS:.3f} ms, ")
    say(f"worst {apart[-1] / MS:.3f} ms apart\n")


if __name__ == "__main__":
    main()
