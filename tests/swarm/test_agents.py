"""`bench agent`: one run for a parent that speaks JSON; it ends with its parent and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bench.core.clock import NS_PER_S
from bench.core.errors import UsageError
from bench.core.histogram import empty
from bench.results.logs import Tag
from bench.results.reader import Run
from bench.swarm.channel import read_order
from bench.swarm.distributed.coordinator import Coordinator
from bench.swarm.distributed.messages import TO_HOST, CoordinatorMessage
from bench.swarm.messages import FROM_AGENT, WindowMessage
from tests.helpers.prepared import run_bench
from tests.swarm.agents_by_pipes import Agent, Swarm
from tests.swarm.hosts_in_threads import text_of


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    with contextlib.ExitStack() as cleanup:

        def make(kind: Callable[..., Any], *arguments: Any) -> Any:
            made = kind(tmp_path, *arguments)
            cleanup.callback(made.end)
            return made

        yield make


def order_of(folder: Path, text: str, **changed: Any) -> dict[str, Any]:
    path = folder / "spread.yaml"
    path.write_text(text, encoding="utf-8")
    return {
        "do": "run",
        "scenario": str(path),
        "overrides": [],
        "quick": False,
        "stack": "embedded",
        "out": str(folder / "results"),
        "seed": None,
        "workers": [],
        **changed,
    }


def servers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_what_an_agent_tells_of_a_run_is_what_the_run_folder_holds(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    agent = start(Agent)
    agent.tell(order_of(tmp_path, text_of(), seed=7))
    said = agent.everything()
    kinds = [one["say"] for one in said if one["say"] not in ("step", "event", "window")]
    assert kinds == ["started", "ended", "judged"]
    by_kind = {one["say"]: one for one in said}
    started, ended, judged = by_kind["started"], by_kind["ended"], by_kind["judged"]
    assert agent.process.wait(30) == judged["exit_code"]
    run = Run.load(Path(ended["path"]))
    assert started["record"]["run"] == run.path.name == judged["verdict"]["run"]
    assert started["record"]["plan"]["seed"] == run.record.plan.seed == 7
    assert started["wall_ns"] == run.record.started.wall_ns
    told: dict[Tag, Any] = {}
    for one in said:
        message = FROM_AGENT.of(one)
        for tag, buckets, counts in message.gains if isinstance(message, WindowMessage) else ():
            told.setdefault(tag, empty())[buckets] += counts
    kept: dict[Tag, Any] = {}
    for window in run.windows():
        kept[window.tag] = kept.get(window.tag, 0) + window.counts
    assert told.keys() == kept.keys()
    for tag, counts in kept.items():
        assert np.array_equal(told[tag], counts), tag


def test_a_bad_order_is_refused_with_the_words_and_the_exit_code_of_bench_run(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    order = order_of(tmp_path, text_of(), overrides=["workloads.cache.rate=much"])
    agent = start(Agent)
    agent.tell(order)
    (failed,) = agent.everything()
    command = ["run", order["scenario"], "--set", order["overrides"][0], "--out", order["out"]]
    by_hand = run_bench(command, os.environ)
    assert failed["message"] == by_hand.stderr.strip()
    assert failed["exit_code"] == by_hand.returncode == agent.process.wait(30) == 3


@pytest.mark.parametrize(
    ("key", "value"), [("seed", -1), ("workers", ["a", "a"]), ("overrides", "a=b"), ("out", ""), ("stack", 3)]
)
def test_an_order_that_is_none_is_refused_by_its_key(tmp_path: Path, key: str, value: object) -> None:
    line = json.dumps(order_of(tmp_path, text_of()) | {key: value}).encode()
    with pytest.raises(UsageError, match=f"order run: {key}: expected"):
        read_order(line)


def test_an_agent_whose_parent_goes_ends_at_once_and_keeps_what_was_measured(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    agent = start(Agent)
    agent.tell(order_of(tmp_path, text_of(steady="60s")))
    agent.next_said("window")
    servers = servers_of(agent.process)
    assert servers
    agent.let_go()
    ended = agent.next_said("ended")
    assert ended["interrupted"]
    assert agent.process.wait(30) == 130
    assert Run.load(Path(ended["path"])).record.status == "interrupted"
    _, alive = psutil.wait_procs(servers, 20)
    assert not alive


def test_a_killed_worker_is_told_and_a_killed_coordinator_leaves_neither_host_nor_stack(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    swarm = start(Swarm, 2, order_of(tmp_path, text_of(steady="60s")))
    swarm.coordinator.next_said("window")
    swarm.kill_worker("w2")
    lost = swarm.coordinator.next_said("event")["event"]
    while lost["kind"] != "worker_lost":
        lost = swarm.coordinator.next_said("event")["event"]
    assert (lost["worker"], lost["text"]) == ("w2", "it quit")
    swarm.coordinator.next_said("window")
    servers = servers_of(swarm.coordinator.process)
    swarm.coordinator.process.kill()
    swarm.workers["w1"].let_go()
    assert swarm.workers["w1"].process.wait(30) == 130
    _, alive = psutil.wait_procs(servers, 20)
    assert not alive
    assert "Traceback" not in swarm.workers["w1"].errors()


def test_the_offset_of_a_clock_that_is_another_one_is_measured(
    tmp_path: Path, start: Callable[..., Any]
) -> None:
    ahead_s = 1000
    apart = ("unshare", "--time", "--monotonic", str(ahead_s), "--fork", "--kill-child")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("time namespaces need root and unshare")
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this kernel or its rights have no time namespaces")

    def relay(message: CoordinatorMessage) -> dict[str, Any]:
        return {"do": "relay", "from": "c", "message": json.loads(TO_HOST.write(message))}

    fleet = Coordinator(["w1"], lambda name, one: host.tell(relay(one)))
    host = start(Agent, lambda said: fleet.hear("w1", said["message"]), apart)
    host.tell({"do": "host"})
    try:
        fleet.meet()
    finally:
        fleet.close()
    clock = fleet.workers["w1"].clock
    assert not clock.is_same
    # The kernel moves the clock by exactly that, so we know better than any measurement.
    assert abs(clock.offset_ns - ahead_s * NS_PER_S) <= clock.uncertainty_ns
    assert clock.uncertainty_ns > 0
