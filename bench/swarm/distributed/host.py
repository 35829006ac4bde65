"""What a worker's process reports of itself: on which host it is, and what failed there."""

import os
import platform
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from bench.core.errors import ExitCode, HoldfastError, StatementRefused, TargetError
from bench.core.machine_limits import BUG, failure_of

PROTOCOL = 2
"""Version of the messages between coordinator and engine host."""


@dataclass(frozen=True)
class HostInfo:
    """What two processes must share to share a clock or a loopback."""

    host: str
    pid: int
    boot: str
    time_namespace: str
    network_namespace: str
    protocol: int = PROTOCOL

    @classmethod
    def of_this_process(cls) -> Self:
        """Ours."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            boot=boot.read_text("ascii").strip() if boot.exists() else "",
            time_namespace=_namespace("time"),
            network_namespace=_namespace("net"),
        )

    def shares_clock_with(self, other: "HostInfo") -> bool:
        """Whether both read the same CLOCK_MONOTONIC: one kernel, and one time namespace of it."""
        return self.boot != "" and (self.boot, self.time_namespace) == (other.boot, other.time_namespace)

    def shares_loopback_with(self, other: "HostInfo") -> bool:
        """Whether 127.0.0.1 is the same for both."""
        return self.boot != "" and (self.boot, self.network_namespace) == (
            other.boot,
            other.network_namespace,
        )


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""  # a kernel without it has one for all


class WorkerError(TargetError):
    """A worker cannot do its part: it, or its way to the target, is not as it should be."""

    def __init__(self, worker: str, sentence: str, exit_code: int = ExitCode.TARGET) -> None:
        self.target = self.worker = worker
        self.exit_code = ExitCode(exit_code)
        HoldfastError.__init__(self, f"worker {worker}: {sentence}")


class RefusedStatement(NamedTuple):
    """A statement of the scenario that the target does not take; see StatementRefused."""

    path: tuple[str | int, ...]
    offset: int | None
    expected: str
    found: str
    advice: str


@dataclass(frozen=True)
class Failure:
    """What went wrong on a worker."""

    message: str
    exit_code: int
    refused: RefusedStatement | None = None

    @classmethod
    def of(cls, error: Exception) -> Self:
        """An error; the traceback of one that is our bug goes to standard error here."""
        if isinstance(error, StatementRefused):
            refused = RefusedStatement(error.path, error.offset, error.expected, error.found, error.advice)
            return cls(str(error), int(error.exit_code), refused)
        text, code = failure_of(error)
        if text == BUG:
            traceback.print_exception(error)
            kind = type(error).__name__
            text = f"{kind}: {error}; this is a bug in Holdfast: the worker's log has its traceback"
        return cls(text.removeprefix("bench: "), int(code))

    def error(self, worker: str) -> HoldfastError:
        """The error to raise where the run is coordinated."""
        if self.refused is None:
            return WorkerError(worker, self.message, self.exit_code)
        path, offset, expected, found, advice = self.refused
        return StatementRefused(path, offset, expected, f"{found} (on worker {worker})", advice)
