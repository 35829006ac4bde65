"""Runs of a session in this process: the whole way from scenario to verdict, without a new interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status, Verdict, worst
from bench.results.reader import Run
from bench.results.run_record import RunRecord
from bench.run.progress import progress_for
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.stack import Stack
from chaos.plugin import Chaos
from tests.helpers.other_work import is_excused, undisturbed
from tests.helpers.scenarios import CACHE

SCENARIO = f"""\
scenario: broken
purpose: Redis is broken and comes back
workloads:
{CACHE}    arrivals: constant
    rate: 1000/s
    deadline: 100ms
phases:
  - {{name: steady, for: 3s}}
detection: {{probe_every: 100ms, failures: 3}}
faults:
  - FAULT
sla:
  - recovery.stable < 10s warn 8s
"""


@dataclass(frozen=True)
class Ended:
    """A run and what was said of it."""

    run: Run
    verdict: Verdict

    @property
    def record(self) -> RunRecord:
        return self.run.record

    @property
    def status(self) -> Status:
        """Of all but the generator, for which the machine may be too busy."""
        checks = self.verdict.checks
        return worst(check.status for check in checks if not check.metric.startswith("validity.generator"))

    def check(self, metric: str) -> Check:
        (found,) = [check for check in self.verdict.checks if check.metric == metric]
        return found


def run(
    stack: Stack, folder: Path, fault: str, *overrides: str, companion: Callable[[], Chaos] = Chaos
) -> Ended:
    """Run the scenario with one fault against a stack that is up."""
    path = folder / "broken.yaml"
    path.write_text(SCENARIO.replace("FAULT", fault))
    return run_file(stack, folder, path, *overrides, companion=companion)


def undisturbed_run(stack: Stack, folder: Path, fault: str, *overrides: str) -> Ended:
    """The same, once more where the run says that others had the processors of this machine."""
    return undisturbed(
        lambda: run(stack, folder, fault, *overrides), lambda ended: is_excused(ended.run.path)
    )


def run_file(
    stack: Stack, folder: Path, path: Path, *overrides: str, companion: Callable[[], Chaos] = Chaos
) -> Ended:
    """Run a scenario file against a stack that is up."""
    session = Session(stack, folder / "results", progress_for(), plugins=lambda _: [companion()])
    done = Run.load(session.run(load_scenario(path, overrides, topology=stack.topology())))
    return Ended(done, judge(done))
