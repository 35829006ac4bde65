"""What a process beside this one uses is the generator's CPU, also after it has left."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from bench.plan.plan import PhasePlan, Plan
from bench.resources.generator import GeneratorUse, join, leave
from bench.resources.processes import stat_of
from bench.resources.sampler import Sampler
from tests.helpers.processes import child_process

TICK_S = 0.011
BURNED_S = 0.3
BURN = f"import time\nwhile time.process_time() < {BURNED_S}: pass\nprint(flush=True)\ninput()"


def test_the_cpu_of_a_process_beside_is_in_every_sample_and_stays_used() -> None:
    rows: list[dict[str, Any]] = []
    sampler = Sampler(Plan("x", 1, (PhasePlan("s", True, 0, 10**10),), (), ""), {}, [], rows.append)
    use = GeneratorUse()
    before, own_before = sampler._generator(0, "s", False).cpu_s, time.process_time()
    with child_process([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        join(child.pid)
        assert child.stdout is not None
        child.stdout.readline()
        stat = stat_of(child.pid)
        assert stat is not None
        assert stat.cpu_s >= BURNED_S - TICK_S
        during, own_during = sampler._generator(0, "s", False).cpu_s, time.process_time()
        assert during - before >= (own_during - own_before) + BURNED_S - 2 * TICK_S
        leave(child.pid)
        child.communicate(b"\n")
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    after, own_after = sampler._generator(0, "s", False).cpu_s, time.process_time()
    assert after - during >= own_after - own_during - 2 * TICK_S, "what is used after it has left counts too"
    assert (use.window().generator_cpu_ratio or 0) > 0
