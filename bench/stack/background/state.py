"""What is known of the stack that stays up between commands: a file of this user's, and a lock.

The lock is held by the daemon, the process whose child services the stack is made of; the kernel
drops it with the process. The file is written once all services have answered. It holds URLs with
passwords, so no other user may read it.
"""

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from bench.core.errors import TargetError, UsageError
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target, TargetDescription
from bench.stack.target_url import target_of, url_of

FORMAT = 1
NO_STATE = (ValueError, KeyError, TypeError, AttributeError)
"""Raised for a file of another form or content."""
LOCK_PATIENCE_S = 0.3
"""Others hold the lock for the time of a look at most."""


@dataclass(frozen=True)
class BackgroundStack:
    """A stack that was started, and perhaps still runs."""

    daemon: ProcessIdentity
    kind: str
    """embedded or docker."""
    targets: tuple[Target, ...]
    described: tuple[TargetDescription, ...]
    """What each service was at the start."""
    supervisors: tuple[ProcessIdentity, ...]
    logs: Path

    def is_up(self) -> bool:
        """Whether its daemon lives; how its services are, only a probe can show."""
        return self.daemon.is_alive()

    def text(self) -> str:
        """For the state file. It holds the passwords of the targets' URLs."""
        state = {
            "format": FORMAT,
            "kind": self.kind,
            "keeper": asdict(self.daemon),
            "supervisors": [asdict(supervisor) for supervisor in self.supervisors],
            "logs": str(self.logs),
            "targets": [{"name": target.name, "url": url_of(target)} for target in self.targets],
            "described": [target.to_json() for target in self.described],
        }
        return json.dumps(state)

    @classmethod
    def read(cls, text: bytes) -> Self:
        """What `text` gave. Raises TargetError or one of NO_STATE for anything else."""
        state = json.loads(text)
        daemon = ProcessIdentity.from_json(state["keeper"])
        if state["format"] != FORMAT or daemon is None:
            raise ValueError("a state of another format")
        supervisors = map(ProcessIdentity.from_json, state["supervisors"])
        return cls(
            daemon=daemon,
            kind=str(state.get("kind", "embedded")),  # before containers could stay up, it was not written
            targets=tuple(_target(entry["name"], entry["url"]) for entry in state["targets"]),
            described=tuple(map(TargetDescription.from_json, state["described"])),
            supervisors=tuple(identity for identity in supervisors if identity is not None),
            logs=Path(state["logs"]),
        )


def state_folder() -> Path:
    """Where the state is: $XDG_STATE_HOME/holdfast, else ~/.local/state/holdfast. Raises UsageError."""
    named = os.environ.get("XDG_STATE_HOME", "")
    if Path(named).is_absolute():
        return Path(named) / "holdfast"
    try:
        return Path.home() / ".local" / "state" / "holdfast"
    except RuntimeError:
        raise UsageError(
            "this user has no home; set XDG_STATE_HOME to a folder for the stack's state"
        ) from None


def logs_folder() -> Path:
    """The logs of the stack that is up, or was up last."""
    return state_folder() / "stack-logs"


def read_state() -> BackgroundStack | None:
    """The stack in the state file, its daemon alive or dead; None when there is none that can be read."""
    try:
        return BackgroundStack.read(_state_file().read_bytes())
    except (OSError, UsageError, TargetError, *NO_STATE):
        return None


def write_state(kind: str, targets: list[Target], described: list[TargetDescription]) -> None:
    """Write the state of this process's stack. Raises OSError."""
    pids = {target.supervisor_pid for target in described if target.supervisor_pid}
    supervisors = tuple(identity for pid in sorted(pids) if (identity := ProcessIdentity.of(pid)))
    state = BackgroundStack(
        _own_identity(), kind, tuple(targets), tuple(described), supervisors, logs_folder()
    )
    path = _state_file()
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(state.text())
    new.replace(path)


def forget_state() -> None:
    """Remove the state file. Only for the daemon, or who has seen that it is gone."""
    with contextlib.suppress(OSError, UsageError):
        _state_file().unlink()


class DaemonLock:
    """The right to be the one daemon of this user. It ends with the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls) -> "DaemonLock | None":
        """Take it and write down who holds it; None while another daemon lives. Raises OSError."""
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not take_lock(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.01)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(_own_identity())).encode(), 0)
        return cls(descriptor)

    def sweep(self) -> None:
        """Remove what a daemon that was killed has left."""
        forget_state()
        shutil.rmtree(logs_folder(), ignore_errors=True)


def living_daemon() -> ProcessIdentity | None:
    """The daemon that holds the lock: of a stack that is up, starting or ending."""
    try:
        descriptor = os.open(state_folder() / "stack.lock", os.O_RDWR | os.O_CLOEXEC)
    except (OSError, UsageError):
        return None
    try:
        if take_lock(descriptor):
            return None
        holder = ProcessIdentity.from_json(json.loads(os.pread(descriptor, 4096, 0)))
    except ValueError:
        return None
    finally:
        os.close(descriptor)
    return holder if holder is not None and holder.is_alive() else None


def take_lock(descriptor: int) -> bool:
    """Lock a file for all who have this descriptor; False while others have it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _own_identity() -> ProcessIdentity:
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    return identity


def _state_file() -> Path:
    return state_folder() / "stack.json"


def _target(name: str, url: str) -> Target:
    return replace(target_of(url, name=name, source="the state file"), managed=True)
