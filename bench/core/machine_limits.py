"""Limits of the machine that the load comes from (no free local port, no descriptor, no memory for a
socket), and what a command reports when it fails.

A connection that was not made for one of these limits never left this machine, so the target is not to
blame: what dials counts it here, and the run is INVALID with the cause. The sentence and the exit
code of a failure are the same for `bench` and for its agents.

A full disk is such a limit, too. A file that is mapped into memory is sparse: where the disk is full when a
page of it is touched, the kernel ends the process with SIGBUS, without message or verdict. Room that was
reserved before turns that into an error.
"""

import errno
import os
import re
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.core.errors import (
    ExitCode,
    HoldfastError,
    MachineLimit,
    ResultError,
    ScenarioError,
    TargetError,
)
from bench.core.sanitize import one_line
from bench.core.units import format_bytes

MOST_DESCRIPTORS = 1 << 20
"""Where a container allows a milliard of them, a program that closes every possible one would never start."""

LEAST_ADDRESS_SPACE = 1 << 30
"""Of which most is never touched: stacks of threads, libraries, tables."""

DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
NUMBERS = (errno.EADDRNOTAVAIL, *DESCRIPTORS, errno.ENOBUFS, errno.ENOMEM)
MOST_STEPS = 16
"""So far an error's causes are followed."""

_NUMBER_IN_TEXT = re.compile(r"(?:\[Errno |\bError )(\d+)\b")
"""Where a library keeps the system's number in its words alone."""

CODE = "own_limit"
"""Of the anomaly."""
COUNTER = "own_limits"
"""Among the counters of a workload: connections that a limit of this machine prevented."""


def raise_descriptor_limit() -> None:
    """Let this process, and those that it starts, have as many descriptors as its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):  # a system that forbids it goes on with what it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def limit_in(error: BaseException) -> int | None:
    """The system's number of the limit that `error` comes from; None where it has another reason."""
    for cause in causes_of(error):
        found = None
        if isinstance(cause, OSError):
            numbers = {cause.errno} if cause.errno else set()
            numbers |= {int(text) for text in _NUMBER_IN_TEXT.findall(str(cause))}
            found = next((number for number in NUMBERS if number in numbers), None)
        elif type(cause).__module__.startswith("psycopg"):
            found = _named_by_libpq(cause)
        if found is not None:
            return found
    return None


def _named_by_libpq(error: BaseException) -> int | None:
    """libpq has the system's words and not its number; a server that lacks the same reports FATAL."""
    text = str(error)
    if getattr(error, "sqlstate", None) is not None or "FATAL" in text:
        return None
    return next((number for number in NUMBERS if os.strerror(number) in text), None)


def cause_of(number: int) -> str:
    """What this machine lacks, with its own figures."""
    words = os.strerror(number).lower()
    if number == errno.EADDRNOTAVAIL:
        first, last = _port_range()
        waiting = _in_time_wait()
        tail = f", {waiting} connections wait out their end (TIME_WAIT)" if waiting else ""
        range_of = f"{last - first + 1} local ports ({first}-{last})" if last else "a range of local ports"
        return f"no local port was free ('{words}'): this machine has {range_of} for each address{tail}"
    if number == errno.EMFILE:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return f"no descriptor was free ('{words}'): this process may have {soft}"
    if number == errno.ENFILE:
        return f"no descriptor was free ('{words}'): the whole machine has no more"
    return f"the kernel had no memory for a socket ('{words}')"


def advice_for(number: int) -> str:
    """What to do about it."""
    if number == errno.EADDRNOTAVAIL:
        return (
            "widen net.ipv4.ip_local_port_range, lower the rate of new connections (a server that closes "
            "after each answer needs one for each), or give the target several addresses"
        )
    if number == errno.EMFILE:
        return "raise the hard limit of this shell (ulimit -Hn; bench doctor shows it), or use fewer lanes"
    if number == errno.ENFILE:
        return "raise fs.file-max, or close what else holds files open on this machine"
    return "free memory on this machine, or raise net.ipv4.tcp_mem"


def refusal_of(number: int, expected: str) -> MachineLimit:
    """The error that ends a start which such a limit prevented."""
    return MachineLimit(expected, cause_of(number), advice_for(number))


def expect_address_space() -> None:
    """Refuse a shell whose limit of virtual memory (ulimit -v) ends a run somewhere in its middle.

    Raises MachineLimit. Below it threads do not start, or die before their first step unnoticed.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_ADDRESS_SPACE:
        raise MachineLimit(
            f"{LEAST_ADDRESS_SPACE >> 20} MiB of virtual memory for the engine and its threads",
            f"this shell allows {limit >> 20} MiB",
            "raise the limit (ulimit -v unlimited), or limit what is resident instead (a control group)",
        )


def shortage_in(error: BaseException) -> MachineLimit | None:
    """What this machine did not give while we worked: memory, or one more thread; None for other errors."""
    if isinstance(error, MemoryError):
        found, expected = "there was no more of it", "memory"
    elif isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        found, expected = "it gives none", "one more thread"
    else:
        return None
    return MachineLimit(
        expected, found, "see the limits of this shell (ulimit -v, ulimit -u) and the memory (bench doctor)"
    )


class OwnLimits:
    """What one workload's connections met of such limits. Written by the thread that dials."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._causes: dict[int, str] = {}

    def note(self, error: BaseException) -> bool:
        """Count a connection that could not be made; whether the reason was a limit of this machine."""
        number = limit_in(error)
        if number is None:
            return False
        self._counts[number] += 1
        if number not in self._causes:
            self._causes[number] = cause_of(number)  # while it is so
        return True

    def counters(self) -> dict[str, int]:
        """All of them, among a workload's counters; none where no limit was met."""
        return {COUNTER: self._counts.total()} if self._counts else {}

    def causes(self) -> list[tuple[str, str]]:
        """What was met, and what to do about it; the most frequent first."""
        return [
            (
                f"{count} connection{'s' * (count > 1)} could not be made: {self._causes[number]}",
                advice_for(number),
            )
            for number, count in self._counts.most_common()
        ]

    def anomalies(self, workload: str, unsent: int) -> list[tuple[str, ...]]:
        """Anomalies of a run in which so many arrivals of the workload had no connection."""
        severity = "invalid" if unsent else "note"
        return [(CODE, severity, f"{workload}: {what}", advice) for what, advice in self.causes()]


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from: by cause, context, group, or a library's own attribute."""
    left: list[BaseException] = [error]
    seen: set[int] = set()
    while left and len(seen) < MOST_STEPS:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner: list[object] = [one.__cause__, one.__context__]
        inner += [getattr(one, name, None) for name in ("os_error", "reason")]
        inner += [*one.exceptions] if isinstance(one, BaseExceptionGroup) else one.args[:3]
        left += [cause for cause in inner if isinstance(cause, BaseException)]


def _port_range() -> tuple[int, int]:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return 0, 0


def _in_time_wait() -> int:
    """Connections that are over and keep their ports; 0 where the system does not report them."""
    try:
        lines = Path("/proc/net/sockstat").read_text(encoding="ascii").splitlines()
        words = next(line for line in lines if line.startswith("TCP:")).split()
        return int(words[words.index("tw") + 1])
    except (OSError, ValueError, IndexError, StopIteration):
        return 0


BUG = "bench: this is a bug in Holdfast; the lines above say where."
NO_PLACE = "a file, a pipe or a connection: expected to be able to use it"
"""Standard output on a full disk, for one, is no file with a name."""


def failure_of(error: Exception) -> tuple[str, int]:
    """The sentence and the exit code of an error; BUG for one that is ours, whose traceback is then shown."""
    if isinstance(error, ScenarioError):
        return str(error), error.exit_code  # one problem a line, each beginning with its place, for editors
    if (shortage := shortage_in(error)) is not None:
        error = shortage
    if isinstance(error, TargetError) and (limit := limit_in(error)) is not None:
        error = refusal_of(limit, error.expected)  # it never left this machine
    if isinstance(error, HoldfastError):
        return f"bench: {error}", error.exit_code
    if isinstance(error, OSError):
        place = (
            f"{one_line(str(error.filename))}: expected to be able to use it" if error.filename else NO_PLACE
        )
        return (
            f"bench: {place}, found '{error.strerror or error}'; "
            "check the path, its rights and the limits of this shell (bench doctor shows them)"
        ), ExitCode.USAGE
    return BUG, ExitCode.BUG


_CANNOT = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""A file system that knows no reservation."""

RAW_LOG_PREFIX = ".operations-"
"""Begins the name of what an engine writes of a run's operations; operations.npy is made of it at the end."""


def reserve(path: Path, size_bytes: int) -> None:
    """Make `path` at least `size_bytes` long, with room for all of them; what is in it stays.

    Raises ResultError where the disk has no such room.
    """
    try:
        with path.open("ab") as file:
            if size_bytes:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
    except OSError as error:
        if error.errno in _CANNOT:
            return
        raise ResultError(
            f"results cannot be written to {path.parent}: {error.strerror}, and the operation log needs "
            f"{format_bytes(size_bytes)}; make room or choose another folder with --out"
        ) from None


def free_bytes(folder: Path) -> int:
    """What is free on the disk of a folder for this user."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
