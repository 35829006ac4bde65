"""Files that are whole or absent: written beside, synced, then renamed."""

import json
import os
from pathlib import Path
from typing import Any


def plain(value: object) -> object:
    """JSON's fallback: numpy's numbers and arrays as Python's. Raises TypeError for anything else."""
    convert = getattr(value, "tolist", None)
    if convert is None:
        raise TypeError(f"expected a value that JSON knows, found {type(value).__name__}")
    converted: object = convert()
    return converted


def as_json(value: object) -> str:
    """Readable JSON with a line end. NaN and infinity are refused: other readers could not read them."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=plain) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Put `text` at `path` so that a reader finds the old file or the new one, never half of one.

    A link is followed. A device, a pipe and an open file (/dev/stdout) are written to and stay what they are.
    """
    if _is_stream(path):
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
        return
    path = path.resolve() if path.is_symlink() else path
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _is_stream(path: Path) -> bool:
    # A link there stands for a file that is open, and whoever opened it may be about to append to it.
    is_open_file = path.is_symlink() and path.absolute().parts[1:2] in {("dev",), ("proc",)}
    return is_open_file or (path.exists() and not path.is_file())


def sync(path: Path) -> None:
    """Have the kernel put a file or folder on its disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any:
    """What stands in a JSON file. Raises OSError, or ValueError for what is not JSON."""
    return json.loads(path.read_text(encoding="utf-8"))
