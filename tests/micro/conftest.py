"""Micro-benchmarks of the hot path: `nox -s micro`. No part of the tests, whose files are named otherwise.

Every measurement is a ratio to a reference kernel that is measured between its rounds. `--save` keeps
the ratios of this machine; later runs fail where one has become much larger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.micro.saved_ratios import saved_ratios, trouble_with

ROUNDS = 40
WIDE = 2.0
Measure = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "How many times the saved ratio a measurement may have."
    parser.addoption("--micro-limit", type=float, default=WIDE, help=text)


@dataclass(frozen=True)
class Measured:
    """One measurement, and what was saved of it."""

    name: str
    per: str
    ns: float
    ratio: float
    saved: float | None


RESULTS = pytest.StashKey[list[Measured]]()


@pytest.fixture(scope="session")
def baseline(pytestconfig: pytest.Config) -> dict[str, float]:
    machine = pytestconfig.hook.pytest_benchmark_generate_machine_info(config=pytestconfig)
    storage = str(pytestconfig.getoption("benchmark_storage")).removeprefix("file://")
    return saved_ratios(Path(storage), machine)


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest, baseline: dict[str, float]) -> Measure:
    """Measure work of `count` parts against a reference, and compare with what was saved.

    `wide` makes the limit wider for what differs by itself from one process to the next.
    """

    def measured(
        work: Callable[[], object],
        count: int,
        per: str,
        *,
        interpreted: bool = False,
        timer: Callable[[], float] = time.perf_counter,
        rounds: int = ROUNDS,
        wide: float = 1.0,
    ) -> None:
        from tests.micro.reference_kernels import compiled_steps, interpreted_steps

        reference = interpreted_steps if interpreted else compiled_steps
        best_step_s = [float("inf")]

        def refer() -> None:
            begin = timer()
            steps = reference()
            best_step_s[0] = min(best_step_s[0], (timer() - begin) / steps)

        for _ in range(3):
            work()
            refer()
        best_step_s[0] = float("inf")
        benchmark._timer = timer
        benchmark.pedantic(work, setup=refer, rounds=rounds)
        part_s = benchmark.stats.stats.min / count
        ratio = part_s / best_step_s[0]
        benchmark.extra_info.update(
            {"per": per, "count": count, "ns": part_s * 1e9, "step_ns": best_step_s[0] * 1e9, "ratio": ratio}
        )
        name, config = request.node.name, request.config
        saved = baseline.get(name)
        config.stash.setdefault(RESULTS, []).append(Measured(name, per, part_s * 1e9, ratio, saved))
        if config.getoption("benchmark_save") is not None:
            return
        trouble = trouble_with(name, ratio, saved, wide * config.getoption("micro_limit"))
        if trouble:
            pytest.fail(trouble, pytrace=False)

    return measured


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line per measurement, with what was saved."""
    found = config.stash.get(RESULTS, [])
    if not found:
        return
    terminalreporter.section("ratios to the reference kernels")
    for one in found:
        change = f"{one.ratio / one.saved:5.2f} times the saved" if one.saved else "nothing saved"
        took = f"{one.ns:12,.1f} ns per {one.per}"
        terminalreporter.write_line(f"{one.name:<42} {took:<29} {one.ratio:10.2f} steps  {change}")
    if not any(one.saved for one in found):
        terminalreporter.write_line("No baseline of this machine; nox -s micro -- --save keeps one.")
