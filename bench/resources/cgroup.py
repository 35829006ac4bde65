"""A container's control group, version 1 or 2: memory without file cache, CPU, processes, bytes moved.

Memory is the working set: usage minus the inactive part of the file cache, which the kernel takes
back whenever it needs memory. A container that reads files would otherwise seem to grow.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

from bench.core.clock import NS_PER_S

ROOT = Path("/sys/fs/cgroup")
US_PER_S = 1_000_000


@dataclass(frozen=True)
class CgroupUse:
    """What a control group uses; None where its kernel does not account for it."""

    working_set_bytes: int | None
    cpu_s: float | None
    processes: int | None
    read_bytes: int | None
    write_bytes: int | None
    cores: float | None
    """The CPU it may use at most; None without a limit."""


def read_cgroup(path: str, root: Path = ROOT) -> CgroupUse | None:
    """The group at `path`, absolute or below the root of control groups; None where there is none.

    Of version 1, `path` is that below each controller, such as docker/0123abcd.
    """
    below = path.removeprefix(str(root)).strip("/")
    if (root / below / "cgroup.procs").exists() and (root / "cgroup.controllers").exists():
        return _version_2(root / below)
    for controller in ("memory", "cpuacct", "pids"):
        # The controller may stand in an absolute path.
        below = below.removeprefix(f"{controller}/")
    if any((root / controller / below).is_dir() for controller in ("memory", "cpuacct")) and below:
        return _version_1(root, below)
    return None


def throttled_s(root: Path = ROOT, proc: Path = Path("/proc")) -> float | None:
    """For how long a CPU quota has stopped this process's group, or one above it; None if not reported."""
    found: list[float] = []
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="ascii", errors="replace").split("\n")
    except OSError:
        return None
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Version 1 has a tree for each controller. In a container the path may be that of the host.
        top = root / "cpu" if controllers else root
        group = top / path.strip("/")
        for part in (group, *group.parents):
            if part == root.parent:
                break
            stat = _table(part / "cpu.stat")
            if "throttled_usec" in stat:
                found.append(stat["throttled_usec"] / US_PER_S)
            elif "throttled_time" in stat:
                found.append(stat["throttled_time"] / NS_PER_S)
    return max(found, default=None)


def _version_2(group: Path) -> CgroupUse:
    memory = _number(group / "memory.current")
    inactive = _table(group / "memory.stat").get("inactive_file", 0)
    cpu = _table(group / "cpu.stat").get("usage_usec")
    quota = _words(group / "cpu.max")
    moved = _words(group / "io.stat")
    return CgroupUse(
        working_set_bytes=None if memory is None else max(memory - inactive, 0),
        cpu_s=None if cpu is None else cpu / US_PER_S,
        processes=_number(group / "pids.current"),
        read_bytes=_sum_of(moved, "rbytes="),
        write_bytes=_sum_of(moved, "wbytes="),
        cores=int(quota[0]) / int(quota[1]) if len(quota) == 2 and quota[0].isdigit() else None,
    )


def _version_1(root: Path, below: str) -> CgroupUse:
    memory = _number(root / "memory" / below / "memory.usage_in_bytes")
    inactive = _table(root / "memory" / below / "memory.stat").get("total_inactive_file", 0)
    cpu = _number(root / "cpuacct" / below / "cpuacct.usage")
    quota = _number(root / "cpu" / below / "cpu.cfs_quota_us")
    period = _number(root / "cpu" / below / "cpu.cfs_period_us")
    moved = _words(root / "blkio" / below / "blkio.throttle.io_service_bytes")
    return CgroupUse(
        working_set_bytes=None if memory is None else max(memory - inactive, 0),
        cpu_s=None if cpu is None else cpu / NS_PER_S,
        processes=_number(root / "pids" / below / "pids.current"),
        read_bytes=_after(moved, "Read"),
        write_bytes=_after(moved, "Write"),
        cores=quota / period if quota is not None and quota > 0 and period else None,
    )


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    words = _words(path)
    return int(words[0]) if words and words[0].removeprefix("-").isdigit() else None


def _table(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    words = _words(path)
    pairs = zip(words[::2], words[1::2], strict=False)
    return {name: int(number) for name, number in pairs if number.isdigit()}


def _sum_of(words: list[str], beginning: str) -> int | None:
    """Of all devices: "8:0 rbytes=1 wbytes=2 ..."."""
    found = [word.removeprefix(beginning) for word in words if word.startswith(beginning)]
    return sum(int(number) for number in found if number.isdigit()) if found else None


def _after(words: list[str], name: str) -> int | None:
    """Of all devices: "8:0 Read 1 8:0 Write 2 ...", each number after its word."""
    following = itertools.pairwise(words)
    found = [int(number) for word, number in following if word == name and number.isdigit()]
    return sum(found) if found else None
