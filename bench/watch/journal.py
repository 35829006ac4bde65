"""The journal of a watch on disk: one line for each segment, and who is writing it.

A segment counts exactly when its line is complete: it is appended in one piece, and synced before the run of
the segment is removed. What a kill cut short at the end is no line, and is taken off when the watch goes on.
When old lines are rolled up the file is written anew and put in its place whole.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from bench.core.errors import ResultError, UsageError
from bench.core.sanitize import all_visible
from bench.results.layout import write_whole
from bench.results.model import Record, Whole
from bench.watch.history import RowRecord, StoryRecord, is_in_order, told
from bench.watch.rollup import rolled

FORMAT = 1
JOURNAL = "watch.jsonl"
PAGE = "watch.html"
OWNER = "watch.lock"
RUNS = "runs"
"""Below the folder of a watch: the runs of segments that were not counted yet, or had an incident."""
Line = TypeVar("Line", bound=Record)
LEAST_LINES_FEWER = 60
"""It is worth writing the journal anew when it gets so much shorter."""


class HeadRecord(Record):
    """The first line of a journal: whose it is, and what is known of the segments that were rolled up."""

    format: Whole
    scenario: str
    begun_utc: str
    story: StoryRecord = Field(default_factory=StoryRecord)


class Journal:
    """What is known of a watch, in memory and on disk."""

    def __init__(self, folder: Path, head: HeadRecord, rows: Sequence[RowRecord]) -> None:
        self.folder = folder
        self.head = head
        self.rows = list(rows)
        self.story = told(rows, head.story)

    @classmethod
    def read(cls, folder: Path) -> "Journal | None":
        """The journal in a folder; None where there is none. What was cut short at its end is left out.

        Raises ResultError for a damaged one.
        """
        file = folder / JOURNAL
        try:
            whole, _ = _complete_lines(file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ResultError(f"{file}: the journal cannot be read: {error.strerror}") from error
        if not whole:
            return None
        head = _read(file, 1, whole[0], HeadRecord)
        if head.format > FORMAT:
            raise ResultError(
                f"{file}: expected format {FORMAT}, found {head.format}; read it with its own version"
            )
        rows = [_read(file, number, line, RowRecord) for number, line in enumerate(whole[1:], start=2)]
        if not is_in_order(rows):
            raise ResultError(f"{file}: expected segments in a row, found a gap or one twice; it is damaged")
        return cls(folder, head, rows)

    @classmethod
    def opened(cls, folder: Path, scenario: str, now_utc: str) -> "Journal":
        """The journal of a watch that goes on, ready for more, or a new one. Raises ResultError."""
        found = cls.read(folder)
        if found is None:
            new = cls(folder, HeadRecord(format=FORMAT, scenario=scenario, begun_utc=now_utc), [])
            new._write()
            return new
        if found.head.scenario != scenario:
            raise UsageError(
                f"--out: expected the watch of {scenario}, found that of {found.head.scenario} in {folder}; "
                "name another folder"
            )
        file = folder / JOURNAL
        try:
            with file.open("r+b") as stream:
                stream.truncate(_complete_lines(stream.read())[1])
                os.fsync(stream.fileno())
        except OSError as error:
            raise _unwritten(file, error) from error
        return found

    @property
    def next_number(self) -> int:
        """Of the next segment."""
        return self.story.upto + 1

    @property
    def is_empty(self) -> bool:
        """Whether nothing was watched yet."""
        return self.story.upto == 0

    def counted_runs(self) -> set[str]:
        """The runs whose segments are in it, as far as it has them one by one."""
        kept = {run for incident in self.story.all_incidents() for run in incident.runs}
        return kept | {row.run for row in self.rows if row.run is not None}

    def append(self, row: RowRecord) -> None:
        """Add a segment; when this returns it is on disk, and counts. Raises ResultError."""
        file = self.folder / JOURNAL
        line = _line(row)
        try:
            with file.open("r+b") as stream:
                end = stream.seek(0, os.SEEK_END)
                try:
                    stream.write(line)
                    stream.flush()
                    os.fsync(stream.fileno())
                except OSError:
                    os.ftruncate(stream.fileno(), end)  # half a line would spoil the next one
                    raise
        except OSError as error:
            raise _unwritten(file, error) from error
        self.rows.append(row)
        self.story = told([row], self.story)

    def roll_up(self, now_ns: int) -> None:
        """Write it anew with old lines rolled up, if that makes it much shorter. Raises ResultError."""
        rows = rolled(self.rows, now_ns)
        if len(self.rows) - len(rows) < LEAST_LINES_FEWER:
            return
        self.rows = rows
        # All of the story: the harm of rows that were rolled up is in it, and no row is told twice.
        self.head = self.head.model_copy(update={"story": self.story})
        self._write()

    def _write(self) -> None:
        lines = [self.head, *self.rows]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / JOURNAL, b"".join(map(_line, lines)).decode())
        except OSError as error:
            raise _unwritten(self.folder / JOURNAL, error) from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only watch that writes in a folder. Raises UsageError that names the other one.

    The kernel drops the lock with the process, however it ends.
    """
    file = folder / OWNER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritten(file, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise UsageError(
                f"watch: expected that nobody watches in {folder}, found process {pid}; "
                "end that one, name another folder with --out, or look at it with --show"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _line(record: Record) -> bytes:
    text = json.dumps(record.model_dump(exclude_defaults=True), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _complete_lines(data: bytes) -> tuple[list[bytes], int]:
    """The lines that have an end, and how many bytes they take."""
    end = data.rfind(b"\n") + 1
    return data[:end].split(b"\n")[:-1], end


def _read(file: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        return kind.read(all_visible(json.loads(line)))
    except ValueError as error:
        raise ResultError(f"{file}:{number}: {error}; the journal is damaged") from error


def _unwritten(file: Path, error: OSError) -> ResultError:
    return ResultError(f"{file}: the journal cannot be written: {error.strerror}; make room")
