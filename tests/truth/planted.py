"""Runs against servers of known behaviour; python -m tests.truth.planted [BEHAVIOUR ...] prints all of them.

10 behaviours x open and closed loop x 1, 2 and 4 threads. What must hold on any machine: a bad target never
passes, a good one never fails. On a quiet one the verdicts are those of WANTED, for every number of threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.helpers.prepared import run_bench

SERVER = Path(__file__).with_name("truth_server.py")
RULES = ("cache.response.p95 < 80ms", "cache.errors < 5%", "cache.throughput > 80/s")
PASS, FAIL, UNKNOWN = "PASS", "FAIL", "INCONCLUSIVE"
WANTED: dict[str, dict[str, tuple[str, str, str]]] = {
    "fixed": {"open": (PASS, PASS, PASS), "closed": (PASS, PASS, PASS)},
    "bimodal": {"open": (PASS, PASS, PASS), "closed": (PASS, PASS, PASS)},
    "hangs": {"open": (FAIL, PASS, PASS), "closed": (UNKNOWN, UNKNOWN, PASS)},
    "stalls": {"open": (FAIL, PASS, PASS), "closed": (UNKNOWN, UNKNOWN, PASS)},
    "refuses": {"open": (FAIL, FAIL, PASS), "closed": (FAIL, FAIL, PASS)},
    "errors": {"open": (FAIL, FAIL, PASS), "closed": (FAIL, FAIL, PASS)},
    "overload": {"open": (FAIL, FAIL, FAIL), "closed": (FAIL, PASS, FAIL)},
    "slow_first": {"open": (PASS, PASS, PASS), "closed": (PASS, PASS, PASS)},
    "closes": {"open": (PASS, PASS, PASS), "closed": (PASS, PASS, PASS)},
    "late_start": {"open": (FAIL, PASS, PASS), "closed": (UNKNOWN, UNKNOWN, PASS)},
}
"""Behaviour -> loop -> what each rule must come to."""
SCENARIO = """\
scenario: planted
purpose: a target of known behaviour
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 8
    threads: {threads}
    operations: {{get: {{command: [GET, a]}}}}
    {arrivals}
    deadline: 1s
phases: [{{name: steady, for: 3s}}]
sla: [{rules}]
"""
ARRIVALS = {"open": "arrivals: constant\n    rate: 120/s", "closed": "arrivals: closed"}


@contextmanager
def served(behaviour: str) -> Iterator[int]:
    """The port of a server that behaves so."""
    command = [sys.executable, str(SERVER), behaviour]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def verdict(behaviour: str, loop: str, threads: int) -> list[tuple[str, str, str]]:
    """Metric, status and reason of every check of a run."""
    rules = ", ".join(f'"{rule}"' for rule in RULES)
    with tempfile.TemporaryDirectory() as folder, served(behaviour) as port:
        scenario = Path(folder) / "planted.yaml"
        scenario.write_text(SCENARIO.format(threads=threads, arrivals=ARRIVALS[loop], rules=rules))
        words = ["run", scenario, "--out", f"{folder}/out", "--json"]
        environment = os.environ | {"REDIS_URL": f"redis://127.0.0.1:{port}"}
        done = run_bench(words, environment)
        if not done.stdout.strip():
            raise RuntimeError(done.stderr[-2000:])
        (told,) = json.loads(done.stdout)
    return [(check["metric"], check["status"], check["because"]) for check in told["checks"]]


def contradictions(behaviour: str, loop: str, found: list[tuple[str, str, str]]) -> list[str]:
    """What is wrong on any machine: a PASS of what is bad, a FAIL of what is good."""
    rules = [check for check in found if not check[0].startswith("validity.")]
    return [
        f"{behaviour}, {loop}: {metric} is {status}, must be {wanted}: {because}"
        for (metric, status, because), wanted in zip(rules, WANTED[behaviour][loop], strict=True)
        if (status == PASS and wanted != PASS) or (status == FAIL and wanted == PASS)
    ]


def main() -> None:
    """Tell of every run whether it is as wanted, and what is wrong on any machine."""
    for behaviour in sys.argv[1:] or WANTED:
        for loop in ARRIVALS:
            for threads in (1, 2, 4):
                found = verdict(behaviour, loop, threads)
                statuses = tuple(check[1] for check in found if not check[0].startswith("validity."))
                wanted = WANTED[behaviour][loop]
                lines = [
                    f"{behaviour:10} {loop:6} {threads} {'as wanted' if statuses == wanted else statuses}"
                ]
                if statuses != wanted:
                    lines += ["    " + " ".join(check) for check in found]
                lines += [f"    WRONG {wrong}" for wrong in contradictions(behaviour, loop, found)]
                sys.stdout.write("\n".join(lines) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
