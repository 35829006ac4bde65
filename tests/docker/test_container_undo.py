"""Whatever a fault did to a container is as it was afterwards: in order, after a kill, by `bench heal`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.core.errors import HealError
from bench.stack.services.loopback_port import free_loopback_port
from chaos import containers
from chaos.container_view import view
from chaos.journal import Journal, heal, leftovers, read_journal
from chaos.undo import ConnectContainer
from tests.helpers.waiting import eventually

ROOT = Path(__file__).parents[2]
HARNESS = Path(__file__).parent / "doomed_container_harness.py"
PROJECT = f"undo-{uuid.uuid4().hex[:8]}"
FRONT, BACK = f"{PROJECT}-front", f"{PROJECT}-back"
SUBNETS = {FRONT: "172.29.67.0/24", BACK: "172.29.68.0/24"}
ADDRESS = "172.29.68.10"


@pytest.fixture(scope="module")
def networks(images: Any) -> Iterator[dict[str, str]]:
    """Name -> id of two networks with subnets of their own."""
    found: dict[str, str] = {}
    with contextlib.ExitStack() as cleanup:
        for name, subnet in SUBNETS.items():
            ipam = {"Driver": "default", "Config": [{"Subnet": subnet}]}
            found[name] = images.create_network(name, ipam=ipam, check_duplicate=True)["Id"]
            cleanup.callback(images.remove_network, found[name])
        yield found


@pytest.fixture
def container(
    images: Any,
    networks: dict[str, str],
    temporary_container: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> str:
    """A Redis of a compose project on two networks, with all that can be asked for of an endpoint."""
    monkeypatch.setenv("HOLDFAST_COMPOSE_PROJECT", PROJECT)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    other = temporary_container()
    images.connect_container_to_network(other, networks[BACK])
    labels = {
        "com.docker.compose.project": PROJECT,
        "com.docker.compose.service": "redis",
        "bench.chaos": "allow",
    }
    bindings = {6379: ("127.0.0.1", free_loopback_port())}
    made = temporary_container(labels=labels, ports=[6379], port_bindings=bindings)
    for network in ("bridge", *networks.values()):
        with contextlib.suppress(Exception):
            images.disconnect_container_from_network(made, network)
    images.connect_container_to_network(made, networks[FRONT], aliases=["redis"])
    name = images.inspect_container(other)["Name"].lstrip("/")
    images.connect_container_to_network(
        made,
        networks[BACK],
        aliases=["redis", "cache"],
        ipv4_address=ADDRESS,
        links=[(name, "store")],
        driver_opt={"com.example.of": "ours"},
    )
    eventually(lambda: images.logs(made).count(b"Ready to accept"), "Redis is up")
    return made


def whole(images: Any, container: str) -> dict[str, Any]:
    """What was asked for, out of the engine's own words and without what it assigns anew."""
    found = images.inspect_container(container)["NetworkSettings"]["Networks"]
    names = ("NetworkID", "IPAMConfig", "Links", "DriverOpts")
    return {
        name: {**{key: entry[key] or None for key in names}, "Aliases": sorted(entry["Aliases"])}
        for name, entry in found.items()
    }


def is_well(images: Any, container: str) -> bool:
    state = images.inspect_container(container)["State"]
    return bool(state["Running"]) and not state["Paused"] and not state["Restarting"]


def started(kind: str, seconds: float, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HARNESS), kind, str(seconds), *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    return process


def test_a_disconnected_container_comes_back_with_its_whole_endpoints_in_order(
    images: Any, container: str
) -> None:
    before = whole(images, container)
    assert before[BACK]["IPAMConfig"] == {"IPv4Address": ADDRESS}
    assert before[BACK]["Links"]
    with started("disconnect", 0.3, "end") as process:
        out, _ = process.communicate()
    assert out.startswith("True process ")
    assert f"answers, {containers.ON_ALL}; healed by us" in out
    assert whole(images, container) == before
    assert images.inspect_container(container)["NetworkSettings"]["Networks"][BACK]["IPAddress"] == ADDRESS


def test_a_crash_without_a_restart_policy_is_started_again_by_us(images: Any, container: str) -> None:
    assert view(container).restart_policy == "no"
    with started("crash", 0, "end") as process:
        out, _ = process.communicate()
    assert out.startswith("True process ")
    assert out.endswith("healed by us\n")
    assert is_well(images, container)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("disconnect", 60), ("pause", 60), ("stop", 60), ("kill", 0), ("crash", 0), ("restart", 0)],
)
def test_a_harness_killed_in_the_fault_leaves_the_container_as_it_was(
    images: Any, container: str, kind: str, seconds: float
) -> None:
    """Killed right after it asked: what it asked for may take effect only when it is gone."""
    before = whole(images, container)
    with started(kind, seconds) as process:
        process.kill()
    eventually(lambda: leftovers() == [], "the reaper has healed")
    assert is_well(images, container)
    assert whole(images, container) == before


def test_bench_heal_repairs_all_networks_when_harness_and_reaper_are_gone(
    images: Any, container: str
) -> None:
    before = whole(images, container)
    with started("disconnect", 60) as process:
        eventually(lambda: whole(images, container) == {}, "it is off its networks")
        (reaper,) = psutil.Process(process.pid).children()
        reaper.kill()
        process.kill()
    assert whole(images, container) == {}
    for expected in ("healed: disconnect of redis\n", "nothing to heal: no fault is left from any run\n"):
        done = subprocess.run(
            [sys.executable, "-m", "bench", "heal"], capture_output=True, text=True, cwd=ROOT, check=False
        )
        assert (done.returncode, done.stdout) == (0, expected)
        assert whole(images, container) == before


def test_a_network_that_is_gone_is_named_and_the_others_are_restored(
    images: Any, container: str, networks: dict[str, str]
) -> None:
    gone = images.create_network(f"{PROJECT}-gone")["Id"]
    images.connect_container_to_network(container, gone)
    before = whole(images, container)
    journal = Journal()
    journal.intend("disconnect of redis", ConnectContainer.to(container, view(container).endpoints))
    containers.disconnect(container)
    images.remove_network(gone)
    with pytest.raises(HealError, match=rf"not healed: disconnect of redis: .*{PROJECT}-gone not found"):
        heal(read_journal(journal.path))
    del before[f"{PROJECT}-gone"]
    assert whole(images, container) == before
    journal.close()


def test_what_somebody_connected_meanwhile_without_its_address_is_connected_as_it_was(
    images: Any, container: str, networks: dict[str, str]
) -> None:
    before = whole(images, container)
    entry = ConnectContainer.to(container, view(container).endpoints)
    containers.disconnect(container)
    images.connect_container_to_network(container, networks[BACK])
    for _ in range(2):
        assert entry.heal() is None
        assert whole(images, container) == before


def test_a_container_without_a_network_of_its_own_is_refused_before_anything_starts(
    images: Any, container: str, temporary_container: Callable[..., str]
) -> None:
    assert view(container).why_no_disconnect is None
    for mode, why in (("host", "the host's own network"), (f"container:{container}", "of another container")):
        made = images.create_container(
            "holdfast/redis:here", ["true"], host_config=images.create_host_config(network_mode=mode)
        )["Id"]
        try:
            assert why in str(view(made).why_no_disconnect)
        finally:
            images.remove_container(made, force=True)


def test_an_order_that_takes_effect_after_the_first_look_is_undone_too(images: Any, container: str) -> None:
    orders = [images.pause]

    def heal() -> containers.ContainerAct:
        act = containers.unpause(container)
        while orders:
            orders.pop()(container)
        return act

    assert containers.healed(container, heal, time.time() + 3) is None
    assert is_well(images, container)
