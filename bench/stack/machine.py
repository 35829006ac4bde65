"""What this machine offers to a run, and what about it would disturb one."""

import ctypes
import errno
import math
import os
import platform
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Value = str | int | float | bool | None
FAST_CLOCK_SOURCES = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
NEEDED_DESCRIPTORS = 20_000  # two workloads with the most lanes that a scenario may ask for
NEEDED_FREE_BYTES = 2_000_000_000  # the append-only file of some minutes of writes at full speed
MIB = 1 << 20


@dataclass(frozen=True)
class Finding:
    """One fact: `text` for readers, `values` for programs, and advice where something can be better."""

    name: str
    text: str
    values: dict[str, Value]
    advice: str | None = None


def findings(sources: dict[str, Callable[[], Finding]]) -> list[Finding]:
    """Ask every source. One that fails gives a finding that says so: a look never ends in an error."""
    found = []
    for name, source in sources.items():
        try:
            found.append(source())
        except Exception as error:  # noqa: BLE001 - machines differ in unforeseen ways
            found.append(Finding(name, f"cannot be read: {error}", {}))
    return found


def cores() -> Finding:
    """How many cores this process may use."""
    usable = len(os.sched_getaffinity(0))
    total = os.cpu_count() or usable
    quota = _cgroup_quota_cores()
    text = f"{usable} of {total} usable" if usable != total else str(total)
    if quota is not None:
        text += f", {quota:g} by cgroup quota"
    advice = None
    if quota is not None and quota < usable:
        advice = "a CPU quota stops threads for milliseconds at a time; lift it, or expect lag"
    elif usable < 2:
        advice = "generator and server share one core; expect lag, and verdicts of INVALID at high rates"
    return Finding("cores", text, {"usable": usable, "total": total, "quota": quota}, advice)


def clock() -> Finding:
    """Which clock source the kernel uses, and what a reading costs."""
    source = _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
    cost_ns = _clock_reading_ns()
    advice = None
    if source and source not in FAST_CLOCK_SOURCES:
        advice = f"the clock source {source} needs a system call for each reading; tsc or kvm-clock is better"
    text = f"{source or 'unknown'}, {cost_ns} ns per reading from Python"
    return Finding("clock", text, {"source": source, "reading_ns": cost_ns}, advice)


def governor() -> Finding:
    """How the cores' frequency is chosen, where the kernel lets us see it."""
    paths = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    names = sorted({path.read_text().strip() for path in paths})
    if not names:
        return Finding("governor", "not visible here (common in virtual machines)", {"governor": None})
    advice = None
    if names != ["performance"]:
        advice = "set the governor to performance: slow cores at the start of a run look like a slow server"
    return Finding("governor", ", ".join(names), {"governor": ",".join(names)}, advice)


def load() -> Finding:
    """Who else is busy on this machine."""
    one, five, fifteen = os.getloadavg()
    usable = len(os.sched_getaffinity(0))
    advice = None
    if one > 0.5 * usable:
        advice = "something else is busy; let it finish before measuring"
    text = f"{one:.2f} {five:.2f} {fifteen:.2f} (1, 5, 15 minutes)"
    return Finding(
        "load", text, {"one_minute": one, "five_minutes": five, "fifteen_minutes": fifteen}, advice
    )


def descriptors() -> Finding:
    """How many files and sockets this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    advice = None
    if hard != resource.RLIM_INFINITY and hard < NEEDED_DESCRIPTORS:
        advice = (
            f"scenarios with many lanes need more: raise the hard limit (ulimit -Hn {NEEDED_DESCRIPTORS})"
        )
    text = f"{_limit(soft)}, may be raised to {_limit(hard)}"
    return Finding("descriptors", text, {"soft": _finite(soft), "hard": _finite(hard)}, advice)


def memory() -> Finding:
    """How much memory there is, and how much of it is free for use."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    total, available = kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    advice = None
    if available < 512 * MIB:
        advice = "the compiled engine and a server with its data want some 512 MiB"
    text = f"{available // MIB} MiB available of {total // MIB} MiB"
    return Finding("memory", text, {"available_bytes": available, "total_bytes": total}, advice)


def temporary_folder() -> Finding:
    """Where the embedded stack keeps its data while it runs."""
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    advice = None
    if free < NEEDED_FREE_BYTES:
        advice = "a long run with writes may fill it; set TMPDIR to a folder with more room"
    return Finding(
        "temporary", f"{folder}, {free // MIB} MiB free", {"folder": folder, "free_bytes": free}, advice
    )


def kernel() -> Finding:
    """The kernel, and whether the engine can sleep with nanosecond steps."""
    release = platform.release()
    precise = _has_epoll_pwait2()
    advice = (
        None
        if precise
        else "without it the engine sleeps in steps of 1 ms and spins the rest: Linux 5.11 has it"
    )
    text = f"Linux {release}, epoll_pwait2 {'present' if precise else 'missing'}"
    return Finding("kernel", text, {"release": release, "epoll_pwait2": precise}, advice)


def _cgroup_quota_cores() -> float | None:
    words = (_first_line("/sys/fs/cgroup/cpu.max") or "").split()
    if len(words) == 2 and words[0] != "max":
        return int(words[0]) / int(words[1])
    quota = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def _clock_reading_ns() -> int:
    best = math.inf
    for _ in range(5):
        begin = time.perf_counter_ns()
        for _ in range(1000):
            time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        best = min(best, (time.perf_counter_ns() - begin) / 1000)
    return round(best)


def _has_epoll_pwait2() -> bool:
    call = getattr(ctypes.CDLL(None, use_errno=True), "epoll_pwait2", None)
    if call is None:
        return False
    call(-1, None, 1, None, None)  # refused for its arguments where it exists, ENOSYS where not
    return ctypes.get_errno() != errno.ENOSYS


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text().split("\n")[0].strip() or None
    except OSError:
        return None


def _finite(limit: int) -> int | None:
    return None if limit == resource.RLIM_INFINITY else limit


def _limit(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
