"""The files of installed Python packages and of all that they require."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def files_of_packages(names: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """(file, its path below site-packages), of the packages and, in turn, of what they require.

    Optional extras are left out, and so is what is required but not installed: a requirement of another
    platform's.
    """
    waiting, seen = list(names), set[str]()
    while waiting:
        name = _canonical(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for text in distribution.requires or ():
            found = _NAME.match(text)
            if found and "extra ==" not in text.partition(";")[2]:
                waiting.append(found[0])
        for path in distribution.files or ():
            place = Path(str(distribution.locate_file(path)))
            if ".." not in path.parts and "__pycache__" not in path.parts and place.is_file():
                yield place, str(path)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
