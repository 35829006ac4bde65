"""Two hosts on one machine: network namespaces on a bridge of their own; root only."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

NAMES = ("one", "two")


@dataclass(frozen=True)
class TwoHosts:
    """What the hosts call this machine, and what the hosts are called."""

    address: str
    namespaces: tuple[str, ...]

    def command(self, host: int, *words: str) -> list[str]:
        """`words` as a command that runs on a host."""
        return [_ip(), "netns", "exec", self.namespaces[host], *words]


def _ip() -> str:
    program = shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip("no ip command: install iproute2")
    return program


def _run(*words: str) -> None:
    done = subprocess.run([_ip(), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


@contextlib.contextmanager
def two_hosts() -> Iterator[TwoHosts]:
    """Namespaces that reach this machine, and nothing else; gone afterwards. Skips without the rights."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    tag = f"{os.getpid() % 100_000:05d}"
    bridge, network = f"hfb{tag}", f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    with contextlib.ExitStack() as cleanup:
        try:
            _run("link", "add", bridge, "type", "bridge")
        except RuntimeError as refused:
            pytest.skip(f"no bridge can be made here: {refused}")
        cleanup.callback(_run, "link", "del", bridge)
        _run("addr", "add", f"{network}.1/24", "dev", bridge)
        _run("link", "set", bridge, "up")
        for number, name in enumerate(NAMES, start=2):
            namespace, outside = f"hf{tag}{name}", f"hfv{tag}{number}"
            _run("netns", "add", namespace)
            cleanup.callback(_run, "netns", "del", namespace)
            _run("link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", namespace)
            # With the namespace both ends go; one whose processes still end keeps its end for a while.
            cleanup.callback(_forgiving, "link", "del", outside)
            _run("link", "set", outside, "master", bridge)
            _run("link", "set", outside, "up")
            _run("-n", namespace, "addr", "add", f"{network}.{number}/24", "dev", "eth0")
            _run("-n", namespace, "link", "set", "eth0", "up")
            _run("-n", namespace, "link", "set", "lo", "up")
        yield TwoHosts(f"{network}.1", tuple(f"hf{tag}{name}" for name in NAMES))


def _forgiving(*words: str) -> None:
    with contextlib.suppress(RuntimeError):
        _run(*words)
