"""How the data of a target are backed up, destroyed and restored where the scenario has no command for it.

Redis: one script reads every key of the database (DUMP), so that the backup shows one moment; the server
answers nobody meanwhile. The file is what `redis-cli --pipe` takes: a RESTORE for each key, and an ECHO at
its end, by which a file that was cut short is known. Expiry counts from the restore on.

Postgres: pg_dump and pg_restore of the server's major version, or the next one that is there: the wheel's,
those on the PATH, Debian's. All tables, views and sequences are dropped, and come back in one transaction.
"""

from __future__ import annotations

import os
import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.child_process import for_program
from bench.core.errors import HoldfastError
from bench.core.units import counted
from bench.drivers.redis.commands import encode
from bench.stack.services.programs import SOURCES, find_postgres
from chaos.commands import private_file, run_to_end
from chaos.integrity.check import NotYet, Unreadable, patiently
from chaos.integrity.readers import RedisReader, connected

if TYPE_CHECKING:
    import threading

    from bench.stack.target import Target

    Words = Sequence[bytes | str | int]


class RecipeError(Exception):
    """A step that did not succeed; the text says why, and completes "it failed: ..."."""


@dataclass(frozen=True)
class Wiped:
    """What was there before the data were destroyed, and right after."""

    before: int
    after: int
    what: str
    """In the singular: key, table."""

    @property
    def text(self) -> str:
        """For a proof."""
        return f"{counted(self.before, self.what)} before, {self.after} after"


class Recipe(ABC):
    """The three steps for one kind of target. Each raises RecipeError; `within_s`: how long one may take."""

    def why_not(self, target: Target) -> str | None:  # noqa: ARG002 - most can be done to any of their kind
        """What is in the way before any load; None where nothing is."""
        return None

    @abstractmethod
    def back_up(
        self, target: Target, file: Path, within_s: float, end: threading.Event | None = None
    ) -> None:
        """Write the data into a file that only this user can read. It is given up when `end` is set."""

    @abstractmethod
    def wipe(self, target: Target) -> Wiped:
        """Destroy them."""

    @abstractmethod
    def load(self, target: Target, file: Path, within_s: float) -> None:
        """Put back what a backup has."""


_READ_ALL = (
    "local o = {} for i, k in ipairs(redis.call('KEYS', '*')) do"
    " o[i] = {k, redis.call('PTTL', k), redis.call('DUMP', k)} end return o"
)
_END = "holdfast: end of a backup of"
CHUNK = 500


class RedisRecipe(Recipe):
    """Of the one database that the target's URL names."""

    def why_not(self, target: Target) -> str | None:
        """A cluster has its keys in many places."""
        return "a cluster, whose keys are on several nodes" if target.nodes else None

    def back_up(
        self,
        target: Target,
        file: Path,
        within_s: float,  # noqa: ARG002 - a script cannot be broken off
        end: threading.Event | None = None,  # noqa: ARG002
    ) -> None:
        """One script, whatever it finds."""
        (keys,) = _asked(target, [("EVAL", _READ_ALL, 0)])
        with private(file).open("wb") as out:
            for key, left_ms, content in keys:
                if content is not None:  # one that ended meanwhile
                    # Without expiry -1, and 0 in RESTORE; one that ends now has a millisecond more.
                    expiry_ms = max(left_ms, 1) if left_ms >= 0 else 0
                    out.write(encode("RESTORE", key, expiry_ms, content, "REPLACE"))
            out.write(encode("ECHO", f"{_END} {counted(len(keys), 'key')}"))

    def wipe(self, target: Target) -> Wiped:
        """FLUSHDB. Whoever writes goes on with an empty database."""
        before, _, after = _asked(target, [("DBSIZE",), ("FLUSHDB",), ("DBSIZE",)])
        return Wiped(before, after, "key")

    def load(self, target: Target, file: Path, within_s: float) -> None:  # noqa: ARG002 - each answer has a limit
        """RESTORE with REPLACE: keys that were written since are overwritten where the backup has them."""
        commands = list(_commands_in(file))
        if not commands or not commands[-1][-1].startswith(_END.encode()):
            raise RecipeError(f"{file.name} was cut short: its end is missing")
        for first in range(0, len(commands), CHUNK):
            _asked(target, commands[first : first + CHUNK])


def _asked(target: Target, commands: Sequence[Words]) -> list[Any]:
    try:
        with RedisReader(target) as server:
            return server.ask_all(commands)
    except (NotYet, Unreadable) as reason:
        raise RecipeError(str(reason)) from None


def _commands_in(file: Path) -> Iterator[list[bytes]]:
    """The commands of a file, as far as they are whole. Raises RecipeError where it holds something else."""
    import hiredis

    reader = hiredis.Reader()
    try:
        reader.feed(file.read_bytes())
        while (words := reader.gets()) is not False:
            if not isinstance(words, list) or not words or words[0] not in (b"RESTORE", b"ECHO"):
                raise RecipeError(f"{file.name} holds something else than the keys of a Redis")
            yield words
    except OSError as error:
        raise RecipeError(f"{file.name}: {error.strerror}") from None
    except hiredis.ProtocolError as error:
        raise RecipeError(f"{file.name} is no backup, or a damaged one: {error}") from None


_TABLES = rb"""
SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
              CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                           WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, nspname, relname),
       relkind IN ('r', 'p')
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
 WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND nspname !~ '^pg_' AND nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('e', 'i'))
"""
"""All that holds rows, without what belongs to an extension; and whether it is a table."""
_MAJOR = re.compile(rb"\) (\d+)")


class PostgresRecipe(Recipe):
    """Of the one database that the target's URL names."""

    def why_not(self, target: Target) -> str | None:
        """The programs must be there."""
        try:
            _program("pg_restore", target)
        except RecipeError as reason:
            return str(reason)
        return None

    def back_up(
        self, target: Target, file: Path, within_s: float, end: threading.Event | None = None
    ) -> None:
        """pg_dump in its custom format."""
        arguments = ["--format=custom", "--no-owner", f"--file={private(file)}"]
        _run("pg_dump", target, arguments, within_s, end)

    def wipe(self, target: Target) -> Wiped:
        """DROP of everything that holds rows, in one transaction."""

        def drop() -> int:
            with connected(target, is_writing=True) as connection:
                rows = connection.execute(_TABLES).fetchall()
                for statement, _ in rows:
                    connection.execute(statement.encode())
            return sum(is_table for _, is_table in rows)

        def left() -> int:
            with connected(target) as connection:
                return sum(is_table for _, is_table in connection.execute(_TABLES).fetchall())

        try:
            return Wiped(patiently(drop), patiently(left), "table")
        except Unreadable as reason:
            raise RecipeError(str(reason)) from None

    def load(self, target: Target, file: Path, within_s: float) -> None:
        """pg_restore in one transaction: all of it, or nothing."""
        arguments = ["--single-transaction", "--exit-on-error", "--clean", "--if-exists", "--no-owner"]
        _run("pg_restore", target, [*arguments, str(file)], within_s, None)


def _run(
    name: str, target: Target, arguments: Sequence[str], within_s: float, end: threading.Event | None
) -> None:
    from psycopg.conninfo import make_conninfo

    from bench.stack.probes.postgres import libpq_parameters

    parameters = libpq_parameters(target)
    password = parameters.pop("password", None)
    environment = for_program(("PGPASSFILE",)) | ({"PGPASSWORD": password} if password else {})
    command = [str(_program(name, target)), f"--dbname={make_conninfo(**parameters)}", *arguments]
    if why := run_to_end(command, "/", within_s, end, environment):
        raise RecipeError(f"{name}: {why}")


class _Programs:
    """Where PostgreSQL's programs are, by major version; found once."""

    found: ClassVar[dict[int, Path] | None] = None

    @classmethod
    def by_major(cls) -> dict[int, Path]:
        if cls.found is None:
            folders: list[Path] = []
            for name in SOURCES:
                try:
                    folders.append(find_postgres(name).bin)
                except HoldfastError:
                    continue
            folders += [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
            folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
            cls.found = {}
            for folder in folders:
                if all(os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore")):
                    major = _major_of(folder / "pg_dump")
                    if major is not None:
                        cls.found.setdefault(major, folder)
        return cls.found


def _major_of(program: Path) -> int | None:
    try:
        said = subprocess.run([program, "--version"], capture_output=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _MAJOR.search(said)
    return int(match[1]) if match else None


def _program(name: str, target: Target) -> Path:
    """Of the server's version, or the next higher one: what it writes can be read by that server alone."""
    try:
        with connected(target) as connection:
            version = connection.info.server_version // 10_000
    except (NotYet, Unreadable) as reason:
        raise RecipeError(str(reason)) from None
    known = _Programs.by_major()
    fit = min((major for major in known if major >= version), default=None)
    if fit is None:
        there = ", ".join(map(str, sorted(known))) or "none"
        raise RecipeError(
            f"{name} of version {version} or above is needed, found {there}; install postgresql-client"
        )
    return known[fit] / name


def private(file: Path) -> Path:
    """The file, empty, and readable by this user alone. Raises RecipeError."""
    try:
        return private_file(file)
    except OSError as error:
        raise RecipeError(f"{file}: {error.strerror}") from None


_RECIPES: dict[str, Recipe] = {"redis": RedisRecipe(), "postgres": PostgresRecipe()}


def recipe_for(kind: str) -> Recipe | None:
    """The recipe of a kind of target; None where there is none."""
    return _RECIPES.get(kind)
