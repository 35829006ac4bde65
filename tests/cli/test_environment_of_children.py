"""What the processes that a run starts can see of the shell that it was started from."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from bench.core.child_process import for_program, for_python, for_run, for_users
from tests.helpers.command_line import Bench
from tests.helpers.waiting import COMPILE_S, eventually

KEY = "AWS_SECRET_ACCESS_KEY"
OURS = "HOLDFAST_UI_PASSWORD"
LOCUSTFILE = f"""
import os
from locust import HttpUser, constant, task

assert os.environ["SHOP_TOKEN"] == "passed"
assert {KEY!r} not in os.environ

class Shopper(HttpUser):
    wait_time = constant(0.1)

    @task
    def browse(self):
        self.client.get("/health")
"""
SCENARIO = """
scenario: children
purpose: starts one of each kind
workloads:
  - name: cache
    target: redis
    driver: redis
    lanes: 1
    keys: {count: 10}
    operations: {get: {command: [GET, "{key}"]}}
    arrivals: constant
    rate: 50/s
  - name: rows
    target: postgres
    driver: postgres
    lanes: 1
    operations: {one: {sql: SELECT 1}}
    arrivals: constant
    rate: 10/s
  - {name: shop, target: api, driver: locust, locustfile: shop.py, lanes: 1, arrivals: closed}
phases:
  - {name: steady, for: 4s}
faults:
  - {latency: redis, delay: 1ms, at: 500ms, for: 1s}
  - {cpu: postgres, load: 5%, at: 500ms, for: 3s}
"""
KINDS: dict[str, Callable[[str], bool]] = {
    "supervisor": lambda words: "stack/supervisor/supervisor.py" in words,
    "redis": lambda words: "-server 127.0.0.1:" in words,
    "postgres": lambda words: "config_file=" in words,
    "api": lambda words: "bench.reference_api" in words,
    "proxy": lambda words: "chaos/proxy/" in words,
    "watchdog": lambda words: "chaos.watchdog" in words,
    "stressor": lambda words: "chaos/stressor.py" in words,
    "users": lambda words: "bench.swarm.users" in words,
}


def environments(pid: int) -> dict[int, tuple[str, dict[str, str]]]:
    """Command line and environment of every descendant."""
    found = {}
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        before_exec = parent.cmdline()
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                words, environment = child.cmdline(), child.environ()
                if words != before_exec and words == child.cmdline():
                    found[child.pid] = (" ".join(words), environment)
    return found


@pytest.mark.timeout(300)
@pytest.mark.long
def test_no_child_of_a_run_sees_a_key_that_is_none_of_its_business(bench: Bench) -> None:
    (bench.folder / "shop.py").write_text(LOCUSTFILE, encoding="utf-8")
    process = bench.start(
        *("run", bench.scenario(SCENARIO), "--json", "--out", bench.results),
        **{KEY: "abroad", OURS: "ours", "SHOP_TOKEN": "passed", "HOLDFAST_PASS_ENVIRONMENT": "SHOP_*"},
    )
    seen: dict[int, tuple[str, dict[str, str]]] = {}

    def kinds() -> set[str]:
        seen.update(environments(process.pid))
        return {kind for kind, is_one in KINDS.items() if any(is_one(words) for words, _ in seen.values())}

    try:
        eventually(
            lambda: kinds() == set(KINDS) or process.poll() is not None, "all kinds of children", COMPILE_S
        )
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert kinds() == set(KINDS), err
    assert len(json.loads(out)) == 1, err  # the locustfile found what it asked for, and the run was made
    for words, environment in seen.values():
        assert KEY not in environment, words
        assert OURS not in environment, words
        assert ("SHOP_TOKEN" in environment) == KINDS["users"](words), words


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)  # what the tests themselves were started with, such as HOLDFAST_VERSIONS
    for name, value in {
        KEY: "abroad",
        "PGPASSWORD": "abroad",
        "LC_ALL": "C",
        "REDIS_URL": "redis://:pw@127.0.0.1",
        "HOLDFAST_SERVICES": "search=http://u:pw@127.0.0.1",
        "HOLDFAST_ALLOW_HOSTS": "db.example",
        "HOLDFAST_WORKER_SECRET": "ours",
        "HOLDFAST_PASS_ENVIRONMENT": "SHOP_*, PGPASS",
        "SHOP_TOKEN": "passed",
    }.items():
        monkeypatch.setenv(name, value)


def names_of(environment: dict[str, Any]) -> set[str]:
    wanted = ("REDIS_URL", "HOLDFAST_", "PG", "SHOP", "AWS", "LC_ALL")
    return {name for name in environment if name.startswith(wanted)} - {"HOLDFAST_PASS_ENVIRONMENT"}


def test_each_kind_of_child_gets_what_it_reads(shell: None) -> None:
    plain = {"LC_ALL", "HOLDFAST_ALLOW_HOSTS"}
    assert names_of(for_program()) == plain
    assert names_of(for_python()) == plain
    assert names_of(for_users()) == plain | {"SHOP_TOKEN"}
    # It can start a stack, and the users of a locustfile; who may join as a worker is not its affair.
    assert names_of(for_run()) == plain | {"SHOP_TOKEN", "REDIS_URL", "HOLDFAST_SERVICES"}


def test_a_run_ordered_in_the_browser_is_given_the_variables_its_scenario_names(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.swarm.web.form import choices_in, read_form

    monkeypatch.setenv(KEY, "abroad")
    monkeypatch.setenv("SHOP_RATE", "50/s")
    path = bench.scenario(SCENARIO.replace("rate: 50/s", 'rate: "${SHOP_RATE}"'))
    (bench.folder / "shop.py").write_text(LOCUSTFILE, encoding="utf-8")
    form = read_form({"scenario": "children", "target": "redis://:pw@127.0.0.1"}, choices_in(path), path)
    assert form.variables == {"SHOP_RATE": "50/s", "REDIS_URL": "redis://:pw@127.0.0.1"}
