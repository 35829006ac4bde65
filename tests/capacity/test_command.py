"""`bench capacity` as a user calls it, against a server whose capacity is known."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command_line import Bench
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parents[2]
SCENARIO = """
scenario: known
purpose: A server that serves 200 requests a second
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 40
    keys: {count: 10}
    operations: {get: {command: [GET, "{key}"]}}
    arrivals: constant
    rate: 50/s
    deadline: 1s
phases:
  - {name: warmup, for: 1s, measured: false}
  - {name: steady, for: 5s}
sla:
  - cache.response.p95 < 60ms
  - cache.throughput >= 45/s
"""


@pytest.fixture(scope="module")
def known_server():
    """A Redis that serves 200 requests a second; its URL."""
    command = [sys.executable, "-m", "tests.capacity.fixed_rate_server", "200"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield f"redis://127.0.0.1:{process.stdout.readline().strip()}/0"
        process.kill()


def only_search(folder):
    (file,) = folder.glob("*.capacity.json")
    return json.loads(file.read_text())


def test_a_search_is_stopped_continued_and_ends_at_its_highest_rate(tmp_path, known_server):
    bench, out = Bench(tmp_path), tmp_path / "capacity"
    median = SCENARIO.replace("p95", "p50")  # which few samples show, so that the probe is short
    asked = ["capacity", bench.scenario(median), "--out", out, "--for", "1s", "--max-rate", "50/s"]
    process = bench.start(*asked, REDIS_URL=known_server)
    eventually(lambda: out.exists() and any(one.name.endswith(".partial") for one in out.iterdir()), 120)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in said.splitlines()[-1]
    assert only_search(out)["state"] == "searching"

    other = bench(*asked, "--resume", "--set", "workloads.cache.lanes=2", REDIS_URL=known_server)
    assert (other.code, "overrides" in other.err) == (2, True)

    done = bench(*asked, "--resume", "--json", "--markdown", tmp_path / "found.md", REDIS_URL=known_server)
    found = json.loads(done.out)
    assert list(found) == [
        *("scenario", "rate_per_s", "interval", "first_failing_per_s", "limited_by", "saturated", "probes")
    ]
    assert all(list(probe) == ["rate_per_s", "run", "status"] for probe in found["probes"])
    assert all((out / probe["run"] / "verdict.json").exists() for probe in found["probes"])
    assert found["first_failing_per_s"] is None
    if done.code == 0:  # a busy machine may not be able to tell
        assert (found["rate_per_s"], found["limited_by"]) == (50, "max_rate")
        assert "50/s holds" in (tmp_path / "found.md").read_text()
    assert done.code in (0, 5)
    assert only_search(out)["state"] == "ended"
    assert list(out.glob("*.capacity.html"))


def test_what_cannot_be_searched_is_refused_before_any_load(tmp_path):
    bench = Bench(tmp_path)
    closed = SCENARIO.replace("arrivals: constant\n    rate: 50/s", "arrivals: closed")
    refused = bench("capacity", bench.scenario(closed), "--out", tmp_path / "out")
    assert (refused.code, "arrivals=poisson" in refused.err) == (2, True)
    assert bench("capacity", bench.scenario(SCENARIO), "--resume", "--out", tmp_path / "out").code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_capacity_of_a_server_of_a_fixed_rate_is_found(tmp_path, known_server):
    bench, out = Bench(tmp_path), tmp_path / "capacity"
    asked = [
        "capacity",
        bench.scenario(SCENARIO),
        "--out",
        out,
        "--for",
        "4s",
        "--precision",
        "20%",
        "--json",
    ]
    process = bench.start(*asked, "--set", "workloads.cache.rate=150/s", REDIS_URL=known_server)
    printed, _ = process.communicate(timeout=500)
    found = json.loads(printed)
    assert len(found["probes"]) <= 15
    if found["interval"] is not None and found["first_failing_per_s"] is not None:
        low, high = found["interval"]
        # A queue of 60 ms is within the rule: a little more than the server's rate holds for 4 s.
        assert low <= 204
        assert high >= 196
    assert process.returncode in (0, 5)
