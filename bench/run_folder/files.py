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
    """Put `text` at `path` so that a reader finds the old file or the new one, never half of one."""
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
