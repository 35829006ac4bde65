"""Thirty outages beside an independent observer: `python -m tests.chaos.outage_list` prints a table.

Processes, containers and the network path; kill, crash, stop, pause, disconnect, black hole, reset. On a
quiet machine begin and end of 28 of the 30 are to be within 2 ms of what the observer saw. `--errors 5` has
that many percent of all arrivals fail all the time, `--strays` makes an error just before and just after
each fault is asked for; neither may move an edge. `--group` runs one part of the list (each takes less than
a minute); the containers need a Docker engine.

An outage is shown but not counted where the hypervisor had a processor about the time of one of its edges
(stolen_time.py, as root). Its group is then run again, `--rounds` times at most, until enough were
undisturbed.

Exit code 1 where fewer are close: on a machine that others use that says nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from bench.stack.docker.client import connect_engine
from bench.stack.docker.stack import DockerStack
from bench.stack.embedded import EmbeddedStack
from bench.stack.images.build import build_image
from tests.chaos.outage_edges import MS, Compared, Edges, compared

GROUPS = {
    "process": ("kill", "crash", "stop", "pause") * 3,
    "container": ("kill", "crash", "stop", "pause", "disconnect") * 2 + ("pause", "disconnect"),
    "path": ("black_hole", "reset") * 3,
}
FOR_MS = {"stop": 300, "pause": 250, "disconnect": 350, "black_hole": 250, "reset": 200}
EVERY_MS = {"process": 1713, "container": 2517, "path": 1413}
"""Odd, so that faults fall on every place between what else is done once a second."""
FIRST_MS = 2500
SHARE = 28 / 30

SCENARIO = """\
scenario: outages
purpose: begin and end of outages are where an independent observer sees them
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 8
    value: {bytes: 64}
    operations:
      get: {weight: WEIGHT, command: [GET, "outages:value"]}
      bad: {weight: ERRORS, command: [INCRBY, "outages:number", "none"]}
    arrivals: constant
    rate: 1000/s
    deadline: 100ms
phases:
  - {name: steady, for: LENGTH}
detection: {probe_every: 100ms, failures: 3}
faults:
FAULTS
sla:
  - recovery.first < 10s
"""


def scenario_text(kinds: tuple[str, ...], every_ms: int, errors: int = 0, first_ms: int = FIRST_MS) -> str:
    """The kinds of faults one after the other, `errors` percent of all arrivals failing all the time."""
    lines = []
    for number, kind in enumerate(kinds):
        lasts = f", for: {FOR_MS[kind]}ms" if kind in FOR_MS else ""
        lines.append(f"  - {{{kind}: redis, at: {first_ms + number * every_ms}ms{lasts}}}")
    text = SCENARIO.replace("FAULTS", "\n".join(lines))
    text = text.replace("LENGTH", f"{first_ms + len(kinds) * every_ms}ms")
    if not errors:
        text = "\n".join(line for line in text.splitlines() if "ERRORS" not in line)
    return text.replace("WEIGHT", str(100 - errors)).replace("ERRORS", str(errors))


def outages_of(group: str, errors: int, strays: bool) -> Compared:
    """One part of the list."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = folder / "outages.yaml"
        scenario.write_text(scenario_text(GROUPS[group], EVERY_MS[group], errors))
        if group == "container":
            engine = connect_engine()
            build_image(engine, "redis")
            engine.close()
        stack = (DockerStack if group == "container" else EmbeddedStack)({"redis"}, folder)
        with stack:
            return compared(stack, scenario, folder, strays=strays)


def row_of(one: Edges) -> str:
    """Begin and end by the harness and by the observer, and how far they are from its interval; ms."""
    times = (
        one.failure_ns,
        one.seen_bad_ns,
        one.failure_apart_ns,
        one.success_ns,
        one.seen_good_ns,
        one.success_apart_ns,
    )
    return "".join(f"{ns / MS:>12.3f}" for ns in times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--group", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument(
        "--errors", type=int, default=0, help="percent of all arrivals that fail all the time"
    )
    parser.add_argument("--strays", action="store_true", help="an error just before and after each call")
    parser.add_argument("--rounds", type=int, default=4, help="of each group, at most")
    options = parser.parse_args()
    say = sys.stdout.write
    say(f"{'':<24}{'first failure, ms':>36}{'first success, ms':>36}\n")
    heads = ("ours", "observer", "apart", "ours", "observer", "apart")
    say(f"{'outage':<24}" + "".join(f"{head:>12}" for head in heads) + "\n")
    close = count = disturbed = 0
    for group in options.group:
        wanted = len(GROUPS[group])
        for _ in range(options.rounds):
            found = outages_of(group, options.errors, options.strays)
            by_fault = {one.fault: one for one in found.edges}
            for fault in found.faults:
                one = by_fault.get(fault)
                say(f"{group + ' ' + fault:<24}")
                if one is not None and one.is_disturbed:
                    say(f"{row_of(one)}  (the hypervisor)\n")
                    disturbed += 1
                else:
                    wanted, count = wanted - 1, count + 1
                    close += one is not None and one.is_close
                    mark = "" if one is not None and one.is_close else "  <-"
                    say(f"{row_of(one) if one is not None else 'not seen by both'}{mark}\n")
            say(f"{'':<24}the generator itself was late by {found.late_ns / MS:.3f} ms (P99); ")
            say(f"load of this machine {os.getloadavg()[0]:.1f}\n")
            sys.stdout.flush()
            if wanted <= 0:
                break
    say(f"\nbegin and end within 2 ms: {close} of {count}; {disturbed} more were not counted\n")
    sys.exit(close < SHARE * count)


if __name__ == "__main__":
    main()
