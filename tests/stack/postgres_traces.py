"""What a Postgres has on this machine beside its files: to see whether it is gone afterwards."""

from pathlib import Path

import psycopg

from bench.stack.probes.postgres import libpq_parameters
from bench.stack.target import Target
from tests.helpers.processes import is_running

Connection = psycopg.Connection[tuple[object, ...]]


def connect(target: Target, **other: str) -> Connection:
    return psycopg.connect(**{**libpq_parameters(target), **other}, autocommit=True)


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


class Traces:
    """Processes and shared memory of a running Postgres."""

    def __init__(self, postmaster: int, data: Path) -> None:
        self.processes = descendants(postmaster)
        self.segment = (data / "postmaster.pid").read_text().splitlines()[6].split()[1]
        maps = Path(f"/proc/{postmaster}/maps").read_text().splitlines()
        self.files = {Path(line.split()[5]) for line in maps if "/dev/shm/PostgreSQL." in line}

    def left(self) -> list[str]:
        """Those that are still there, in words."""
        segments = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
        return [
            *(f"process {pid}" for pid in self.processes if is_running(pid)),
            *(f"shared memory {path}" for path in self.files if path.exists()),
            *(f"shared memory {self.segment}" for segment in segments if segment == self.segment),
        ]
