"""Whom a server runs as that refuses to run as root."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.core.child_environment import for_program

NAMES = ("postgres", "nobody")
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Account:
    """A user of this machine; its main group is the only group that a server is given."""

    name: str
    user_id: int
    group_id: int

    def succeeds(self, *command: str) -> bool:
        """Whether a program can be run as this user and ends with status 0 within ten seconds.

        Asked by trying: mode bits, access lists, name spaces and mount options are all in the answer.
        """
        try:
            done = subprocess.run(
                command,
                env=for_program(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                user=self.user_id,
                group=self.group_id,
                extra_groups=[],
                timeout=DEADLINE_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0

    def can_be_assumed(self) -> bool:
        """Whether we may become this user: a root in a container may lack the right."""
        return self.succeeds("/bin/sh", "-c", ":")

    def can_enter(self, directory: Path) -> bool:
        """Whether this user may use files in the directory whose names it knows."""
        return self.succeeds("/bin/sh", "-c", 'cd -- "$0"', str(directory))


def account_for_servers() -> Account | None:
    """`postgres` where it exists, else `nobody`; None when we are not root and stay who we are."""
    if os.geteuid() != 0:
        return None
    for name in NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    # A container's list of users may be empty; a number needs no entry, and this one is nobody's.
    return Account("65534", 65_534, 65_534)
