"""Log files that never mix with those of an earlier start."""

import itertools
from pathlib import Path

from bench.core.errors import UsageError

TAIL_BYTES = 8 * 1024


def new_log_file(folder: Path, stem: str, suffix: str) -> Path:
    """Create `stem.suffix` in the folder, or `stem-2.suffix` and so on if that exists.

    Raises UsageError if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path.resolve()
    except OSError as error:
        raise UsageError(f"logs cannot be written to {folder}: {error.strerror}") from None
    raise AssertionError  # the count does not end


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines that are not blank; none if the file cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip() for line in lines if line.strip()][-count:]
