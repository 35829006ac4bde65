"""How faults are healed, by any process, from what the journal keeps.

An undo is a JSON object with the name of a way and what that way needs: a class below writes it and reads it
again. Healing by it twice is harmless, and so is healing what never happened: the entry is written before the
fault.
"""

import contextlib
import json
import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from bench.core.clock import NS_PER_S, WallLabel
from bench.stack.docker.client import ADDRESS, engine_host
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.commands import run_to_end
from chaos.container_view import Endpoint, engine
from chaos.containers import ContainerAct
from chaos.processes import STOPPED_STATES, family, state_of, wait_until

CONTINUED_S = 2.0
ENDED_S = 5.0
ORDER_S = 0.5
"""How long an order to the engine may be under way when the process that gave it is gone."""


@dataclass(frozen=True)
class Undo(ABC):
    """One way to heal one fault."""

    way: ClassVar[str]
    """Its name in the journal."""

    def heal(self) -> str | None:
        """Undo it and look whether that worked; None when it did, else what is still wrong.

        Whatever goes wrong here is reported and not raised: the next entry is to be healed too.
        """
        try:
            return self._heal()
        except Exception as error:  # noqa: BLE001 - of any library that a way goes through
            return f"{type(error).__name__}: {error}"

    def nothing_left(self) -> str | None:
        """Why there is nothing to heal, asked before `heal`; None where there may be something."""
        return None

    def later(self, seconds: float) -> Self:  # noqa: ARG002 - only some ways have a time
        """The same for a fault that may be made so much later than it is noted."""
        return self

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {"way": self.way, **self._fields()}

    @abstractmethod
    def _heal(self) -> str | None: ...

    def _fields(self) -> Mapping[str, object]:
        return {}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:  # noqa: ARG003 - of the ways that need nothing
        """From its entry. Raises KeyError, TypeError or ValueError for one that is damaged."""
        return cls()


@dataclass(frozen=True)
class Nothing(Undo):
    """Nothing can be left: it ends with the harness, or is over when it has happened."""

    way = "nothing"

    def _heal(self) -> str | None:
        return None


@dataclass(frozen=True)
class Unreadable(Undo):
    """An entry that this version cannot act on."""

    way = "unreadable"
    why: str

    def _heal(self) -> str | None:
        return self.why


@dataclass(frozen=True)
class _OnProcesses(Undo):
    processes: tuple[ProcessIdentity, ...]

    def nothing_left(self) -> str | None:
        if not self.processes or any(process.is_alive() for process in self.processes):
            return None
        numbers = ", ".join(str(process.pid) for process in self.processes)
        if len(self.processes) == 1:
            return f"process {numbers} has ended, and its number may be another's by now"
        return f"processes {numbers} have ended, and their numbers may be others' by now"

    def _fields(self) -> Mapping[str, object]:
        return {"processes": [asdict(process) for process in self.processes]}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        found = (ProcessIdentity.from_json(process) for process in entry.get("processes", ()))
        return cls(tuple(process for process in found if process is not None))


@dataclass(frozen=True)
class ContinueProcesses(_OnProcesses):
    """Let stopped processes go on, and all that descend from them by then."""

    way = "continue_processes"

    def _heal(self) -> str | None:
        roots = self.processes
        # A child that was forked between the note and the fault was stopped too. Children first.
        families = [process for root in roots if root.is_alive() for process in family(root.pid)]
        processes = list(dict.fromkeys([*reversed(families), *roots]))
        refused = _send_each(processes, signal.SIGCONT)

        def stopped() -> list[int]:
            return [process.pid for process in processes if (state_of(process) or "-") in STOPPED_STATES]

        if wait_until(lambda: not stopped(), CONTINUED_S):
            return None
        return f"processes {', '.join(map(str, stopped()))} are still stopped{refused}"


@dataclass(frozen=True)
class EndProcesses(_OnProcesses):
    """Kill processes of ours. No fault of this version notes it; older ones did."""

    way = "end_processes"

    def _heal(self) -> str | None:
        refused = _send_each(self.processes, signal.SIGKILL)
        left = [process.pid for process in self.processes if not process.wait(ENDED_S)]
        return f"processes {', '.join(map(str, left))} are still there{refused}" if left else None


@dataclass(frozen=True)
class _OnPath(Undo):
    """What is undone at one place of the file system."""

    path: Path

    def _fields(self) -> Mapping[str, object]:
        return {"path": str(self.path)}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        return cls(Path(str(entry["path"])))


@dataclass(frozen=True)
class RemoveFile(_OnPath):
    """Remove a file of ours."""

    way = "remove_file"

    def _heal(self) -> str | None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            return f"{self.path} is still there: {error.strerror}"
        return None


@dataclass(frozen=True)
class RemoveFolder(_OnPath):
    """Remove the files in a folder of ours, and the folder, unless another entry still needs one in it."""

    way = "remove_folder"

    def _heal(self) -> str | None:
        try:
            for entry in self.path.iterdir() if self.path.exists() else ():
                if not entry.is_dir():
                    entry.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.path.rmdir()
        except OSError as error:
            return f"{self.path} is still there: {error.strerror}"
        return None


@dataclass(frozen=True)
class RestoreCopy(_OnProcesses):
    """Put back the copy that was made before data were destroyed."""

    way = "restore_copy"
    folder: Path = Path()

    def _heal(self) -> str | None:
        from chaos.faults.safety_copy import put_back  # not for a watchdog that starts

        return put_back(self.folder, self.processes)

    def _fields(self) -> Mapping[str, object]:
        return {**super()._fields(), "folder": str(self.folder)}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        return replace(super()._read(entry), folder=Path(str(entry["folder"])))


@dataclass(frozen=True)
class RunCommand(Undo):
    """Run the command by which a scenario takes its action back."""

    way = "run_command"
    command: tuple[str, ...]
    folder: str
    within_s: float
    environment_file: str | None = None
    """What it sees, with how to log in; None: the usual."""

    def _heal(self) -> str | None:
        environment = None
        if self.environment_file is not None:
            environment = json.loads(Path(self.environment_file).read_text())
        return run_to_end(self.command, self.folder, self.within_s, environment=environment)

    def _fields(self) -> Mapping[str, object]:
        return asdict(self)

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        file = entry.get("environment_file")
        command, folder = tuple(map(str, entry["command"])), str(entry["folder"])
        return cls(command, folder, float(entry["within_s"]), None if file is None else str(file))


@dataclass(frozen=True)
class _OnContainer(Undo):
    container: str
    engine: str
    """The one that it was done on."""
    settled_at: float = 0.0
    """Seconds since the epoch: from then on no order of a dead harness is still under way."""

    @classmethod
    def of(cls, container: str) -> Self:
        """For an order that is about to be given to the engine in use."""
        return cls(container, engine_host(), WallLabel.read().wall_ns / NS_PER_S + ORDER_S)

    def later(self, seconds: float) -> Self:
        return replace(self, settled_at=self.settled_at + seconds)

    def _heal(self) -> str | None:
        """Another engine does not know the container, which must not pass for one that was removed."""
        if self.engine != engine_host():
            return (
                f"it was done to a container of the engine {self.engine}, and DOCKER_HOST now leads to"
                f" {engine_host()}; run: DOCKER_HOST={self.engine} bench heal"
            )
        from chaos.containers import healed  # not for a watchdog that starts, and mostly has nothing to heal

        return healed(self.container, self._act, self.settled_at)

    @abstractmethod
    def _act(self) -> ContainerAct: ...

    def _fields(self) -> Mapping[str, object]:
        return {"container": self.container, "engine": self.engine, "settled_at": self.settled_at}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        engine = str(entry.get("engine") or engine_host())
        return cls(str(entry["container"]), engine, float(entry.get("settled_at", 0.0)))


@dataclass(frozen=True)
class UnpauseContainer(_OnContainer):
    """Let a paused container go on."""

    way = "unpause_container"

    def _act(self) -> ContainerAct:
        from chaos.containers import unpause

        return unpause(self.container)


@dataclass(frozen=True)
class StartContainer(_OnContainer):
    """Start a container again that was stopped or killed."""

    way = "start_container"

    def _act(self) -> ContainerAct:
        from chaos.containers import start

        return start(self.container)


@dataclass(frozen=True)
class ConnectContainer(_OnContainer):
    """Connect a container to its networks again, to each as it was."""

    way = "connect_container"
    endpoints: tuple[Endpoint, ...] = ()
    has_address: bool = True
    """Older versions noted one network and the names there; the address stood in a label of ours."""

    @classmethod
    def to(cls, container: str, endpoints: tuple[Endpoint, ...]) -> Self:
        """For a disconnection that is about to be ordered."""
        return replace(cls.of(container), endpoints=endpoints)

    def _act(self) -> ContainerAct:
        from chaos.containers import connect

        endpoints = self.endpoints
        if not self.has_address:
            endpoints = tuple(replace(one, ipv4=_labelled_address(self.container)) for one in endpoints)
        return connect(self.container, endpoints)

    def _fields(self) -> Mapping[str, object]:
        return {**super()._fields(), "endpoints": [endpoint.to_json() for endpoint in self.endpoints]}

    @classmethod
    def _read(cls, entry: Mapping[str, Any]) -> Self:
        has_address = "endpoints" in entry
        endpoints = tuple(map(Endpoint.from_json, entry["endpoints"] if has_address else (entry,)))
        return replace(super()._read(entry), endpoints=endpoints, has_address=has_address)


_WAYS: Mapping[str, type[Undo]] = {
    kind.way: kind
    for kind in (
        Nothing,
        ContinueProcesses,
        EndProcesses,
        RemoveFile,
        RemoveFolder,
        RestoreCopy,
        RunCommand,
        UnpauseContainer,
        StartContainer,
        ConnectContainer,
    )
}


def read_undo(entry: object) -> Undo:
    """The undo of an entry in the journal; `Unreadable` for one of another version, or that is damaged."""
    name = entry.get("way") if isinstance(entry, dict) else None
    kind = _WAYS.get(str(name))
    if kind is None or not isinstance(entry, dict):
        return Unreadable(f"this version does not know how to undo '{name}'")
    try:
        return kind._read(entry)
    except Exception:  # noqa: BLE001 - whatever is wrong with one entry, the others are to be healed
        return Unreadable(f"its entry for '{name}' is damaged")


def _send_each(processes: Sequence[ProcessIdentity], number: signal.Signals) -> str:
    """Send each the signal, whatever becomes of the others; what the kernel said where it did not."""
    refused: dict[str, None] = {}
    for process in processes:
        try:
            process.send(number)
        except OSError as error:  # another user's, say
            refused[f": {error.strerror}"] = None
    return "".join(refused)


def _labelled_address(container: str) -> str:
    from docker.errors import NotFound

    try:
        labels = engine().inspect_container(container)["Config"].get("Labels")
    except NotFound:
        labels = None
    return str((labels or {}).get(ADDRESS, ""))
