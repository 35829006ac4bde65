"""`bench matrix` on real services: what it tables is what was done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli.matrix_command import AROUND_NS
from bench.core.clock import NS_PER_S
from tests.helpers.command_line import Bench

pytestmark = pytest.mark.long

SCENARIO = """\
scenario: cache
purpose: Redis is asked
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 80
    operations: {get: {command: [GET, x]}}
    arrivals: constant
    rate: 200/s
    deadline: 400ms
phases:
  - {name: steady, for: 5s}
faults:
  - {pause: redis, at: 1s, for: 1s}
sla:
  - cache.recovery.first < 1s
"""


def test_what_a_matrix_tables_is_what_was_done_to_the_load(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    file = bench.scenario(SCENARIO)

    words = ["--only", "slow", "--only", "kill", "--only", "exhausted", "--for", "1s", "--json"]
    done = bench("matrix", file, "--out", tmp_path / "out", *words)
    found = json.loads(done.out)
    assert done.code == (5 if any(cell["invalid"] for cell in found["cells"]) else 0), done.err
    slow, kill, _ = found["cells"]
    assert [cell["condition"] for cell in found["cells"]] == ["slow", "kill", "exhausted"]
    assert found["delay_ns"] == 200_000_000
    assert slow["availability"] == 1
    assert slow["p99_ns"] >= found["delay_ns"] > slow["p99_before_ns"]
    assert kill["availability"] < slow["availability"]
    assert kill["noticed"]
    assert all(cell["back_ns"] is not None for cell in (slow, kill))
    assert abs(slow["planned"] - 200) < 100
    assert [cell["refused"] for cell in found["cells"]] == [None] * 3
    for cell in found["cells"]:
        record = json.loads((tmp_path / "out" / cell["run"] / "run.json").read_text())
        assert [fault["kind"] for fault in record["faults"]] == [cell["kind"]]
        assert record["duration_ns"] < 12 * NS_PER_S + AROUND_NS
