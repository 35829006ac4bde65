"""What this machine has for a run: its limits, what would disturb one, and the programs that it would use."""

import ctypes
import errno
import math
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from bench.core.child_process import for_program
from bench.core.errors import TargetError
from bench.registry import url_variables
from bench.stack.background.daemon import background_stack
from bench.stack.external import named_by_the_user, url_in
from bench.stack.services.programs import account_for_servers, find_postgres, find_server_binary

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


DOCKER_DEADLINE_S = 2.0
VERSION_DEADLINE_S = 5.0
DEFAULT_DOCKER_SOCKET = "/var/run/docker.sock"


def python() -> Finding:
    """The interpreter and this package."""
    release = platform.python_version()
    ours = _version("holdfast")
    text = (
        f"{platform.python_implementation()} {release}, holdfast {ours or 'not installed (run from source)'}"
    )
    values = {"version": release, "holdfast": ours, "executable": sys.executable}
    return Finding("python", text, {**values})


def compiler() -> Finding:
    """numba, which compiles the engine; read from its metadata, since an import takes a second."""
    release = _version("numba")
    is_off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    advice = None
    if release is None:
        advice = "pip install numba: the wire engine is compiled with it"
    elif is_off:
        advice = "unset NUMBA_DISABLE_JIT before measuring: the engine is hundreds of times slower without"
    text = "numba missing" if release is None else f"numba {release}{', switched off' if is_off else ''}"
    return Finding("compiler", text, {"numba": release, "is_off": is_off}, advice)


def redis_server() -> Finding:
    """The server that the embedded stack would start."""
    try:
        binary = find_server_binary()
    except TargetError as error:
        return Finding("redis server", "none", {"program": None, "origin": None, "version": None}, str(error))
    words = [word.removeprefix("v=") for word in _version_words(binary.path) if word.startswith("v=")]
    release = words[0] if words else None
    advice = None if release else "it does not report its version: is it a redis-server or a valkey-server?"
    text = f"{binary.path.name} {release or 'of unknown version'}, from {binary.origin}: {binary.path}"
    values = {"program": str(binary.path), "origin": binary.origin, "version": release}
    return Finding("redis server", text, {**values}, advice)


def postgres_18() -> Finding:
    """The PostgreSQL 18 that the embedded stack would start."""
    return _postgres("postgres", "postgres 18")


def postgres_16() -> Finding:
    """The PostgreSQL 16 that the embedded stack would start."""
    return _postgres("postgres_16", "postgres 16")


def postgres_client() -> Finding:
    """psycopg and the libpq in it, which log in to Postgres."""
    release = _version("psycopg")
    values: dict[str, Value] = {"psycopg": release, "implementation": None, "libpq": None}
    if release is None:
        return Finding("libpq", "psycopg missing", values, "pip install holdfast, which brings psycopg")
    try:
        from psycopg import pq
    except ImportError as error:
        found = str(error).strip().splitlines()[0]
        advice = "pip install 'psycopg[binary]', or install the system's libpq"
        return Finding("libpq", f"psycopg {release} without libpq ({found})", values, advice)
    libpq = f"{pq.version() // 10_000}.{pq.version() % 10_000}"
    values |= {"implementation": pq.__impl__, "libpq": libpq}
    return Finding("libpq", f"{libpq}, in psycopg {release} ({pq.__impl__})", values)


def default_stack() -> Finding:
    """Which stack `bench run` takes by default."""
    named: dict[str, Value] = {}
    for name, variable in url_variables().items():
        if url_in(name):
            try:
                named[variable] = named_by_the_user(name).address
            except TargetError as error:
                text = f"external, but {variable} cannot be used"
                return Finding("stack", text, {"kind": "external"}, str(error))
    if named:
        names = ", ".join(f"{variable} names {address}" for variable, address in named.items())
        return Finding("stack", f"external: {names}", {"kind": "external", **named})
    background = background_stack()
    if background is not None:
        names = ", ".join(target.name for target in background.targets)
        text = f"{background.kind}, up since bench stack up: {names}"
        return Finding("stack", text, {"kind": background.kind, "is_up": True})
    text = "embedded (no stack is up, no URL is set)"
    return Finding("stack", text, {"kind": "embedded", "is_up": False})


def docker_engine() -> Finding:
    """Whether a Docker engine answers, and what killed harnesses have left in it."""
    host = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_DOCKER_SOCKET}"
    parts = urlsplit(host)
    needed_for = "only --stack docker and compose need one"
    try:
        with _connected(parts.scheme, parts.path, parts.hostname, parts.port) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answers = b" 200 " in engine.recv(64)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding("docker", f"no engine ({reason.lower()}); {needed_for}", {"engine": False})
    if not answers:
        return Finding(
            "docker", f"something answers there, but no Docker engine; {needed_for}", {"engine": False}
        )
    if parts.scheme != "unix":
        text = "engine answers, but not behind unix://, so --stack docker and compose cannot use it"
        return Finding("docker", text, {"engine": True, "usable": False})
    return _usable_engine()


def _usable_engine() -> Finding:
    from bench.stack.docker.cleanup import left_overs
    from bench.stack.docker.client import connect_engine

    try:
        engine = connect_engine()
        release, left = str(engine.version()["Version"]), left_overs(engine)
    except TargetError as error:
        text = "engine answers, but cannot be used"
        return Finding("docker", text, {"engine": True, "usable": False}, str(error))
    values: dict[str, Value] = {"engine": True, "usable": True, "version": release, "left_over": len(left)}
    text = f"engine {release}, for --stack docker and compose"
    if not left:
        return Finding("docker", text, values)
    advice = "the next run with --stack docker removes what a killed run has left"
    return Finding("docker", f"{text}; {len(left)} things of killed runs are in it", values, advice)


def _connected(scheme: str, path: str, host: str | None, port: int | None) -> socket.socket:
    if scheme == "tcp" and host and port:
        return socket.create_connection((host, port), DOCKER_DEADLINE_S)
    if scheme != "unix":
        raise ValueError("DOCKER_HOST is neither unix:// nor tcp://")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(DOCKER_DEADLINE_S)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _postgres(name: str, label: str) -> Finding:
    try:
        programs = find_postgres(name)
    except TargetError as error:
        return Finding(label, "none", {"program": None, "origin": None, "version": None}, str(error))
    program = programs.bin / "postgres"
    words = _version_words(program)
    release = words[2] if len(words) > 2 else None
    advice = None if release else "it does not report its version: is it a postgres?"
    account = account_for_servers()
    run_as = f", run as {account.name}" if account else ""
    text = f"{release or 'of unknown version'}, from {programs.origin}{run_as}: {programs.bin}"
    values: dict[str, Value] = {"program": str(program), "origin": programs.origin, "version": release}
    return Finding(label, text, values, advice)


def _version_words(program: Path) -> list[str]:
    """What a program prints when it is asked for its version."""
    done = subprocess.run(
        [str(program), "--version"],
        env=for_program(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=VERSION_DEADLINE_S,
        check=False,
        text=True,
    )
    return done.stdout.split()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
