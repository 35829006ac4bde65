"""Others at work on this machine: seen before a run, in it, and told after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest

from bench.report.context import others_at_work
from bench.report.html.run_details import generator
from bench.resources.machine import Look
from bench.resources.starvation import Starvation, slices
from bench.stack.stack import Stack
from tests.helpers.synthetic_run import SyntheticRun
from tests.resources.sampled import sampling

LOOP = "import time\nend = time.monotonic() + 20\nprint('on', flush=True)\nwhile time.monotonic() < end: pass"


@pytest.fixture
def crowd() -> Iterator[None]:
    """Twice as many busy processes as cores."""
    loops = [
        subprocess.Popen([sys.executable, "-S", "-c", LOOP], stdout=subprocess.PIPE, text=True)
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    for loop in loops:
        assert loop.stdout is not None
        loop.stdout.readline()
    yield
    for loop in loops:
        loop.kill()
        loop.communicate()


def test_a_look_at_a_crowded_machine_tells_what_others_use(crowd: None) -> None:
    look = Look()
    subprocess.run(["sleep", "0.5"], check=True)
    found = look.end()
    assert found.disturbs
    # Whoever else is here: those that never sleep leave no core unused.
    assert found.others_cores > 0.5 * found.cores
    assert f"of this machine's {found.cores} cores" in found.sentence()


def test_a_crowd_is_in_the_samples_of_a_run_and_raises_one_alarm_when_it_lasts(
    crowd: None, stack: Stack
) -> None:
    with sampling(stack) as found:
        found.until(lambda: len(found.of("machine")) > 12, "samples beside a crowd")
    others = found.sampler.record().others
    assert others is not None
    assert others.others_cores > 0.5 * others.cores
    waited = [row["run_queue_s"] for row in found.of("redis") if row.get("run_queue_s") is not None]
    assert waited == sorted(waited)
    # Whether a crowd starves anybody is for the kernel to decide; once is a hiccup, twice in a row is said.
    held_up = [bool(one.held_up) for one in slices(found.rows)]
    said = found.sampler.take_alarm()
    assert (said is not None) == any(both == (True, True) for both in pairwise(held_up))
    if said is not None:
        assert said.startswith("this machine is busy with other work: others use ")
    assert found.sampler.take_alarm() is None


def test_a_run_beside_others_says_so_in_text_and_page_and_one_by_itself_does_not(tmp_path) -> None:
    beside = Starvation(0.5, 2, 1.9, 0.8, "redis waited for a processor").record().to_json()
    alone = Starvation(0.0, 2, 0.05, 0.0, "nobody").record().to_json()

    def run(name, others):
        resources = {"samples": 1, "others": others, "pressure": {"cpu": 0.97, "memory": 0.0, "io": 0.0}}
        record = {"resources": resources, "generator": {"idle_ratio": 0.9}}
        return SyntheticRun(record=record, samples={"cache/get/response/ok": [(1000, 10)]}).load(
            tmp_path / name
        )

    said = (
        "others used 1.90 of this machine's 2 cores; in 50 % of the measured time redis waited for a "
        "processor (for 80 % of that time); something waited for a processor 97 % of the time"
    )
    assert others_at_work(run("beside", beside)) == said
    assert "others used 1.90 of this machine" in str(generator(run("beside2", beside)))
    assert others_at_work(run("alone", alone)) == ""
    assert "others used" not in str(generator(run("alone2", alone)))
