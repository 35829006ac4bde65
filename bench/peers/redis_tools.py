"""Where redis-benchmark is, and how it gets onto a Debian machine."""

from __future__ import annotations

import os
import shutil
import subprocess

from bench.peers.child_process import last_words
from bench.peers.contestant import NotInstalled

PROGRAM = "redis-benchmark"
PACKAGE = "redis-tools"
INSTALL_LIMIT_S = 600.0
VERSION_LIMIT_S = 10.0


def find_redis_benchmark(*, may_install: bool) -> str:
    """Path of redis-benchmark: on PATH, else installed where allowed and possible. Raises NotInstalled."""
    found = shutil.which(PROGRAM)
    if found is not None:
        return found
    if not may_install:
        raise NotInstalled(f"{PROGRAM} is not on PATH: install Debian's {PACKAGE}, or give --install as root")
    installer = shutil.which("apt-get")
    if installer is None:
        raise NotInstalled(f"{PROGRAM} is not on PATH, and without apt-get it must be installed by hand")
    if os.geteuid() != 0:
        raise NotInstalled(f"{PROGRAM} is not on PATH, and only root can install {PACKAGE}")
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", PACKAGE]):
        _run_installer([installer, *arguments])
    found = shutil.which(PROGRAM)
    if found is None:
        raise NotInstalled(f"{PACKAGE} was installed, but {PROGRAM} is not on PATH")
    return found


def version_of(program: str) -> str:
    """What `redis-benchmark --version` says: "redis-benchmark 7.0.15"."""
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_LIMIT_S,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "version unknown"
    return last_words(done.stdout)


def _run_installer(command: list[str]) -> None:
    sentence = " ".join(["apt-get", *command[1:]])
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
            text=True,
            errors="replace",
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{sentence} did not end within {INSTALL_LIMIT_S:.0f} s") from None
    if done.returncode != 0:
        raise NotInstalled(f"{sentence} failed: {last_words(done.stderr or done.stdout)}")
