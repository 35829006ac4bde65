"""The bytes of a scenario file as text, refused where they cannot be one."""

import os
import re
import stat
from pathlib import Path

from bench.core.errors import Problem, ScenarioError

MAX_FILE_BYTES = 2**20

# What YAML calls printable, and the byte order mark that editors leave at the start.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def file_name(path: Path) -> str:
    """The path for people: names that are no UTF-8 and control characters cannot disturb a terminal."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_text(path: Path) -> str:
    """The file's text. Raises ScenarioError for what is missing, no file, too large or no text."""
    data = _read_bytes(path)
    if len(data) > MAX_FILE_BYTES:
        expected = f"at most {MAX_FILE_BYTES // 2**20} MiB"
        raise _refused(path, expected, "a larger file", "split the scenario, or check the path")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        raise _refused(path, "UTF-8 text", found, "save the file as UTF-8", (line, column)) from None
    if match := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        found = f"the control character U+{ord(match[0]):04X}"
        raise _refused(path, "printable text", found, "remove it", (line, column))
    return text


def _read_bytes(path: Path) -> bytes:
    advice = "check the path; `bench list` shows the scenarios"
    try:
        # A pipe or a device could block or never end; opening one is enough to hang.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "a pipe, socket or device"
            raise _refused(path, "a regular file", kind, advice)
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise _refused(path, "a scenario file", "no such file", advice) from None
    except OSError as error:
        raise _refused(path, "a readable file", str(error.strerror or error), advice) from None
    except ValueError:  # a zero byte in the name
        raise _refused(path, "the path of a file", "a path that no file can have", advice) from None


def _refused(
    path: Path, expected: str, found: str, advice: str, place: tuple[int, int] = (0, 0)
) -> ScenarioError:
    return ScenarioError([Problem(file_name(path), *place, "file", expected, found, advice)])
