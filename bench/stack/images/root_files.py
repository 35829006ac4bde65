"""A root file system made of programs of this machine, each with the libraries that it loads, and of
packages.

Everything keeps the path that it has here, so that programs find what they look for by name; what is
added besides has the path that it is given. A digest of names, sizes and times shows whether an image
that was made of the same files is still good.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import IO

from bench.core.child_process import for_program

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


LDD_DEADLINE_S = 60.0
_LIBRARY = re.compile(r"^\s+(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


@dataclass(frozen=True)
class _Entry:
    mode: int
    owner: int = 0
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    """Neither a source, nor content, nor a link: a folder."""


class RootFiles:
    """Files to be, by their absolute path in the image."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def folder(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """An empty folder."""
        self._entries[path] = _Entry(mode, owner)

    def text(self, path: str, content: str, mode: int = 0o644) -> None:
        """A file of this content."""
        self._entries[path] = _Entry(mode, content=content.encode())

    def link(self, path: str, to: str) -> None:
        """A symbolic link."""
        self._entries[path] = _Entry(0o777, link=to)

    def file(self, source: Path, path: str | None = None) -> None:
        """A file of this machine, at the same path if no other is given."""
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        self._entries[path or str(source)] = _Entry(mode, source=source.resolve())

    def tree(self, source: Path, path: str | None = None, ignore: Iterable[str] = ()) -> None:
        """A folder of this machine with all in it, but what bears an ignored name."""
        patterns = tuple(ignore)
        for place, folders, files in os.walk(source):
            folders[:] = sorted(name for name in folders if not _matches(name, patterns))
            below = PurePosixPath(path or str(source)) / PurePosixPath(place).relative_to(source)
            for name in sorted(files):
                if not _matches(name, patterns) and (Path(place) / name).is_file():
                    self.file(Path(place) / name, str(below / name))

    def program(self, source: Path, *names: str) -> None:
        """A program with its libraries, and the paths that it can also be called by."""
        self.file(source)
        self.libraries_of([source])
        for name in names:
            if name != str(source):
                self.link(name, str(source))

    def libraries_of(self, files: Iterable[Path]) -> None:
        """The shared libraries that these files load at their start, and the loader."""
        found = [str(file) for file in files]
        if not found:
            return
        done = subprocess.run(
            ["ldd", *found],  # noqa: S607 - whichever the system has
            env=for_program(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,  # its status reports a file that is no program, which needs nothing
            timeout=LDD_DEADLINE_S,
        )
        for library in _LIBRARY.findall(done.stdout):
            self.file(Path(os.path.normpath(library)))

    def paths(self) -> list[str]:
        """All paths so far."""
        return list(self._entries)

    def digest(self) -> str:
        """Equal for equal files: of this machine by size and time, given ones by content."""
        seen = hashlib.sha256()
        for path, entry in sorted(self._entries.items()):
            fact: tuple[object, ...] = (path, entry.mode, entry.owner, entry.link, entry.content)
            if entry.source is not None:
                status = entry.source.stat()
                fact += (status.st_size, status.st_mtime_ns)
            seen.update(repr(fact).encode())
        return seen.hexdigest()[:16]

    def write(self, file: IO[bytes]) -> None:
        """Write all as a tar archive; folders above come before what is in them."""
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            known = {"/"}
            for path, entry in sorted(self._entries.items()):
                for above in reversed(PurePosixPath(path).parents):
                    if str(above) not in known and str(above) not in self._entries:
                        archive.addfile(_information(str(above), _Entry(0o755)))
                    known.add(str(above))
                known.add(path)
                _add(archive, path, entry)


def packed(files: Mapping[str, bytes]) -> bytes:
    """Files by path and content as a tar archive, in their order and without the folders above them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in files.items():
            information = tarfile.TarInfo(path.lstrip("/"))
            information.size, information.mode = len(content), 0o644
            archive.addfile(information, io.BytesIO(content))
    return file.getvalue()


def _add(archive: tarfile.TarFile, path: str, entry: _Entry) -> None:
    information = _information(path, entry)
    if entry.content is not None:
        information.type, information.size = tarfile.REGTYPE, len(entry.content)
        archive.addfile(information, io.BytesIO(entry.content))
    elif entry.source is not None:
        with entry.source.open("rb") as source:
            information.type, information.size = tarfile.REGTYPE, os.fstat(source.fileno()).st_size
            archive.addfile(information, source)
    elif entry.link is not None:
        information.type, information.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(information)
    else:
        archive.addfile(information)


def _information(path: str, entry: _Entry) -> tarfile.TarInfo:
    information = tarfile.TarInfo(path.lstrip("/"))
    information.type = tarfile.DIRTYPE
    information.mode = entry.mode
    information.uid = information.gid = entry.owner
    return information


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
