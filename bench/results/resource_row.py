"""One sample of one source, as a row of resources.csv has it: its fields are the columns, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

Cell = float | str | None


@dataclass
class ResourceRow:
    """The columns of resources.csv; None where a source has no such figure."""

    at_ns: int
    phase: str
    source: str
    pid: float | None = None
    processes: float | None = None
    cores: float | None = None
    cpu_s: float | None = None
    rss_bytes: float | None = None
    """Resident; pages that processes share count once for each."""
    pss_bytes: float | None = None
    """Resident; shared pages are divided among those that have them."""
    working_set_bytes: float | None = None
    fds: float | None = None
    threads: float | None = None
    read_bytes: float | None = None
    write_bytes: float | None = None
    used_memory_bytes: float | None = None
    used_memory_rss_bytes: float | None = None
    fragmentation_ratio: float | None = None
    clients: float | None = None
    evicted_keys: float | None = None
    active: float | None = None
    idle: float | None = None
    idle_in_transaction: float | None = None
    other_sessions: float | None = None
    waiting_lock: float | None = None
    waiting_lwlock: float | None = None
    waiting_io: float | None = None
    waiting_client: float | None = None
    waiting_other: float | None = None
    commits: float | None = None
    rollbacks: float | None = None
    deadlocks: float | None = None
    temp_bytes: float | None = None
    buffer_hit_ratio: float | None = None
    pool_in_use: float | None = None
    pool_size: float | None = None
    run_queue_s: float | None = None
    run_queue_worst_s: float | None = None
    throttled_s: float | None = None
    steal_s: float | None = None
    cpu_pressure_s: float | None = None
    memory_pressure_s: float | None = None
    io_pressure_s: float | None = None

    @classmethod
    def read(cls, cells: Mapping[str, Cell]) -> ResourceRow:
        """A row of the file. Columns of a newer version are ignored."""
        row = cls(int(cells["at_ns"] or 0), str(cells.get("phase", "")), str(cells["source"]))
        row.add({name: float(cells[name] or 0) for name in _FIGURES if cells.get(name) not in (None, "")})
        return row

    def add(self, figures: Mapping[str, float | None]) -> None:
        """Set columns by their names. Raises AttributeError for one that does not exist."""
        for name, value in figures.items():
            if name not in _FIGURES:
                raise AttributeError(f"resources.csv has no column {name}")
            setattr(self, name, value)

    def figures(self) -> dict[str, float]:
        """The columns that have a figure."""
        return {name: value for name in _FIGURES if (value := getattr(self, name)) is not None}

    def cells(self) -> dict[str, Cell]:
        """For the file: when and what was sampled, and the figures."""
        return {"at_ns": self.at_ns, "phase": self.phase, "source": self.source, **self.figures()}


_FIGURES = tuple(field.name for field in fields(ResourceRow))[3:]
