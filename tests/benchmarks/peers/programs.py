"""Where another tool's program is, and how it gets onto a Debian machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.child_process import for_program
from tests.benchmarks.peers.child_process import last_words
from tests.benchmarks.peers.contestant import NotInstalled

if TYPE_CHECKING:
    from collections.abc import Iterator

INSTALL_LIMIT_S = 600.0
VERSION_LIMIT_S = 10.0
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")
"""Servers are there, and an ordinary user's PATH is without them."""

POLICY = Path("/usr/sbin/policy-rc.d")
REFUSAL = "#!/bin/sh\nexit 101\n"
"""What Debian's packages ask before they start a service; 101: not allowed."""


@dataclass(frozen=True)
class DebianProgram:
    """A program and the package that has it."""

    name: str
    package: str
    version_flag: str = "--version"

    def find(self, *, may_install: bool) -> str:
        """Its path: on PATH, else installed where allowed and possible. Raises NotInstalled."""
        found = self._path()
        if found is not None:
            return found
        if not may_install:
            raise NotInstalled(
                f"{self.name} is not on PATH: install Debian's {self.package}, or give --install as root"
            )
        installer = shutil.which("apt-get")
        if installer is None:
            raise NotInstalled(
                f"{self.name} is not on PATH, and without apt-get it must be installed by hand"
            )
        if os.geteuid() != 0:
            raise NotInstalled(f"{self.name} is not on PATH, and only root can install {self.package}")
        with _no_service_started():
            for arguments in (["update"], ["install", "-y", "--no-install-recommends", self.package]):
                _run_installer([installer, *arguments])
        found = self._path()
        if found is None:
            raise NotInstalled(f"{self.package} was installed, but {self.name} is not on PATH")
        return found

    def version(self, path: str) -> str:
        """What it says of its version, in one line: "redis-benchmark 7.0.15"."""
        return version_of(path, self.version_flag)

    def package_version(self) -> str:
        """The version of the package, for a program that does not tell its own."""
        try:
            done = subprocess.run(
                ["dpkg-query", "-W", "-f", "${Version}", self.package],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=VERSION_LIMIT_S,
                check=False,
                text=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return f"{self.name}, version unknown"
        return f"{self.name} {done.stdout.strip() or 'of unknown version'}"

    def _path(self) -> str | None:
        return shutil.which(self.name) or shutil.which(self.name, path=os.pathsep.join(SYSTEM_FOLDERS))


def version_of(path: str, flag: str = "--version") -> str:
    """The first line that a program says when asked for its version."""
    try:
        done = subprocess.run(
            [path, flag],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=VERSION_LIMIT_S,
            check=False,
            text=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "version unknown"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "version unknown"


@contextlib.contextmanager
def _no_service_started() -> Iterator[None]:
    """Keep a package from starting its service: a web server for all the world is not what was asked for."""
    try:
        with POLICY.open("x", encoding="utf-8") as file:
            file.write(REFUSAL)
        POLICY.chmod(0o755)
    except OSError:
        yield  # the machine has a policy of its own
        return
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


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
            env=for_program(("*_proxy", "*_PROXY")) | {"DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{sentence} did not end within {INSTALL_LIMIT_S:.0f} s") from None
    if done.returncode != 0:
        raise NotInstalled(f"{sentence} failed: {last_words(done.stderr or done.stdout)}")
