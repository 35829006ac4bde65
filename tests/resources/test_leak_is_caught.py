"""A real server that grows by 1 MB each cycle is caught; one that fills a cache and stops is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import run as bench
from bench.results.reader import Run
from tests.helpers.other_work import undisturbed, was_held_up

pytestmark = pytest.mark.timeout(300)

CYCLES = 30
SCENARIO = """
scenario: {name}
purpose: memory over {cycles} cycles of load and rest
workloads:
  - name: writer
    target: redis
    driver: redis
    lanes: 2
    keys: {{count: 1000, distribution: sequential, prefix: "cache:"}}
    value: {{bytes: 10000}}
    operations:
      set: {{command: [SET, "{key}", "{{value}}"]}}
    arrivals: constant
    rate: 1000/s
phases:
  - {{name: warmup, for: 100ms, measured: false, load: 1%}}
  - {{name: cycles, for: 4500ms, cycles: {cycles}, rest: 33.3333%}}
sla:
  - memory_growth < 10MB
  - redis.memory_slope < 30MB/min
  - redis.fd_growth <= 20
  - cpu < 100%
"""
# 100 ms of each cycle are load: 100 writes of 10 kB, 1 MB. The cache of 1000 keys is full after ten cycles.


Checks = dict[str, dict[str, Any]]


def judged(folder: Path, name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> Checks:
    monkeypatch.delenv("REDIS_URL", raising=False)
    file = folder / f"{name}.yaml"
    file.write_text(SCENARIO.format(name=name, key=key, cycles=CYCLES))

    def attempt() -> tuple[Path, Checks]:
        bench(["run", str(file), "--out", str(folder / "results")])
        kept = max((folder / "results").glob(f"*-{name}-*"))
        checks = json.loads((kept / "verdict.json").read_text())["checks"]
        return kept, {check["metric"]: check for check in checks}

    def is_left_open(made: tuple[Path, Checks]) -> bool:
        """Others had the processors: cycles went by without a sample, or without their load."""
        kept, checks = made
        open_ones = {checks[metric]["status"] for metric in ("memory_growth", "redis.memory_slope")}
        return bool(open_ones & {"INCONCLUSIVE", "INVALID"}) and was_held_up(kept)

    kept, checks = undisturbed(attempt, is_left_open)
    assert len({row["at_ns"] for row in Run.load(kept).resources()}) > CYCLES
    return checks


def test_a_server_that_grows_with_every_cycle_fails_growth_and_slope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = judged(tmp_path, "leak", "leak:{seq}", monkeypatch)
    growth, slope = checks["memory_growth"], checks["redis.memory_slope"]
    assert growth["status"] == "FAIL", growth
    assert growth["observed"] == pytest.approx(25e6, rel=0.3)
    assert slope["status"] == "FAIL", slope
    assert slope["interval"][0] > 30e6 / 60
    assert slope["observed"] == pytest.approx(1e6 / 0.15, rel=0.3)
    assert checks["redis.fd_growth"]["status"] == "PASS"
    assert checks["cpu"]["observed"] is not None


@pytest.mark.long
def test_a_server_that_fills_a_cache_and_stops_does_not_fail_the_slope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = judged(tmp_path, "cache", "{key}", monkeypatch)
    growth, slope = checks["memory_growth"], checks["redis.memory_slope"]
    assert growth["observed"] < 12e6, growth
    assert slope["status"] in ("PASS", "INCONCLUSIVE"), slope
    assert abs(slope["observed"]) < 1e6 / 0.15 / 4
