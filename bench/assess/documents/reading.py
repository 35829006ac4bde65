"""Documents of others, read: a foreign file is untrusted, and what is wrong with it is a sentence.

XML is read as a stream by expat, which loads nothing from elsewhere. A file that defines entities is
rejected before any is replaced, so that none can blow up; sizes and depths are bounded.
"""

import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from xml.parsers import expat

from bench.core.clock import NS_PER_S
from bench.core.sanitize import one_line

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 200
Attributes = dict[str, str]


class Unreadable(ValueError):  # noqa: N818 - named for what the document is
    """A document that shows nothing; its text says why."""


def read_bytes(path: Path) -> tuple[bytes, int]:
    """The contents of a regular file, and when it was written, in ns of wall time. Raises Unreadable."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable(f"{path} is not a regular file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise Unreadable(f"there is no {path}") from None
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise Unreadable(f"{path} is larger than {MOST_BYTES // 2**20} MiB")
    return data, facts.st_mtime_ns


def read_xml(
    data: bytes, begin: Callable[[str, Attributes, tuple[str, ...]], None], root: tuple[str, ...]
) -> None:
    """Call `begin` with the name, the attributes and the names above of each element.

    `root`: the names that the outermost element may have. Raises Unreadable.
    """
    parser = expat.ParserCreate()
    above: list[str] = []

    def opened(name: str, attributes: Attributes) -> None:
        if not above and name not in root:
            raise Unreadable(f"it begins with <{one_line(name)[:60]}>, not with <{'> or <'.join(root)}>")
        if len(above) >= MOST_DEPTH:
            raise Unreadable(f"its elements are nested deeper than {MOST_DEPTH}")
        begin(name, attributes, tuple(above[-2:]))
        above.append(name)

    def refused(*_: object) -> None:
        raise Unreadable("it defines entities, which no such report needs and which may be an attack")

    parser.StartElementHandler = opened
    parser.EndElementHandler = lambda _: above.pop()
    parser.EntityDeclHandler = refused
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Unreadable(f"it is not well-formed XML: {error}") from None


def read_json(data: bytes) -> object:
    """The value of a JSON document. Raises Unreadable."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is not valid JSON: {one_line(str(error))[:200]}") from None


def wall_ns(text: str | None) -> int | None:
    """A date and time of ISO 8601 in ns of wall time, without a zone as UTC; None for anything else."""
    try:
        found = datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None
    try:
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()) * NS_PER_S
    except (OverflowError, OSError):
        return None
