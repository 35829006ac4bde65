"""Load, check and drop: one transaction each, so that a loader that is killed leaves nothing half.

A table of ours carries a mark in its comment, which says what it is and what was loaded into it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

from bench.core.clock import monotonic_ns
from bench.datasets.app import APP
from bench.datasets.connection import Claim, connected, refuse_while_used, take_loaders_lock
from bench.datasets.dataset import BuiltIn, DataSet, Invariant, Loaded, rows_of
from bench.datasets.sql_files import run_files
from bench.datasets.tpcb import TPCB
from bench.stack.target import Target

FORMAT = 1
_MARK = re.compile(r"holdfast data set format=(\d{1,9}) name=([a-z0-9_]+) scale=(\d{1,9})(?:;|$)")


@dataclass(frozen=True)
class Mark:
    """What a table's comment says."""

    format: int
    name: str
    scale: int

    @property
    def comment(self) -> str:
        """The comment; a set of another format is ours too, but it is never used again."""
        return (
            f"holdfast data set format={self.format} name={self.name} scale={self.scale}; "
            "dropped and loaded again at need"
        )


def read_mark(comment: str | None) -> Mark | None:
    """The mark in a comment; None where it is not ours."""
    match = _MARK.match(comment or "")
    return Mark(int(match[1]), match[2], int(match[3])) if match else None


@dataclass(frozen=True)
class Inventory:
    """What stands under the names of a set."""

    marks: dict[str, Mark | None]
    """Relation -> its mark, of those that are there; None: not ours."""
    not_tables: tuple[str, ...]
    """Those that are a view, a sequence or the like."""
    schema_is_there: bool
    schema_mark: Mark | None

    def foreign(self, name: str) -> list[str]:
        """Relations that are not this set's."""
        return [
            relation
            for relation, mark in self.marks.items()
            if mark is None or mark.name != name or relation in self.not_tables
        ]


def inventory_of(connection: Connection, schema: str, tables: list[str]) -> Inventory:
    """Look up the names."""
    relations = connection.execute(
        "SELECT c.relname, c.relkind = 'r', pg_catalog.obj_description(c.oid, 'pg_class')"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema, tables),
    ).fetchall()
    marks = {name: read_mark(comment) for name, _, comment in relations}
    row = connection.execute(
        "SELECT pg_catalog.obj_description(oid, 'pg_namespace')"
        " FROM pg_catalog.pg_namespace WHERE nspname = %s",
        (schema,),
    ).fetchone()
    return Inventory(
        marks={table: marks[table] for table in tables if table in marks},
        not_tables=tuple(name for name, is_table, _ in relations if not is_table),
        schema_is_there=row is not None,
        schema_mark=read_mark(row[0]) if row else None,
    )


BUILT_IN = {"tpcb": TPCB, "app": APP}


def load(target: Target, wanted: DataSet, note: Callable[[str], None], claim: Claim | None = None) -> Loaded:
    """See `bench.datasets.load`."""
    begun_ns = monotonic_ns()
    if wanted.name is None:
        count = run_files(target, wanted.files, note)
        return Loaded(None, wanted.scale, False, monotonic_ns() - begun_ns, statements=count)
    built_in = BUILT_IN[wanted.name]
    with connected(target, f"the data set {wanted.name} to be loaded") as connection:
        take_loaders_lock(connection, target, session=False)
        inventory = _inventory(connection, built_in)
        _refuse_foreign(target, built_in, inventory)
        reused = wanted.keep and _can_be_reused(connection, built_in, wanted.scale, inventory)
        if reused:
            note(f"data set {wanted.name}, scale {wanted.scale}: the one that is there is used again")
        else:
            refuse_while_used(connection, target, wanted.name, "loaded")
            if wanted.keep and inventory.marks:
                note(
                    f"data set {wanted.name}: the one that is there is another or was changed; it is replaced"
                )
            rows = sum(rows_of(wanted.name, wanted.scale).values())
            note(f"data set {wanted.name}, scale {wanted.scale}: loading {rows:,} rows")
            _load_anew(connection, target, built_in, wanted.scale, inventory)
        if claim is not None:
            claim.take()
        connection.commit()
    return Loaded(
        wanted.name, wanted.scale, reused, monotonic_ns() - begun_ns, rows_of(wanted.name, wanted.scale)
    )


def check(target: Target, wanted: DataSet) -> list[str]:
    """See `bench.datasets.check`."""
    if wanted.name is None:
        return []
    built_in = BUILT_IN[wanted.name]
    with connected(target, f"the data set {wanted.name} to be checked", snapshot=True) as connection:
        there = _inventory(connection, built_in).marks
        if missing := [table for table in built_in.tables if table not in there]:
            return [f"{built_in.qualified(table)}: expected a table, found none" for table in missing]
        try:
            return _broken(connection, built_in.invariants(wanted.scale))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            return [f"data set {wanted.name}: expected its tables, found '{error.diag.message_primary}'"]


def drop(target: Target, wanted: DataSet) -> None:
    """See `bench.datasets.drop`."""
    if wanted.name is None:
        return
    built_in = BUILT_IN[wanted.name]
    with connected(target, f"the data set {wanted.name} to be dropped") as connection:
        take_loaders_lock(connection, target, session=False)
        refuse_while_used(connection, target, wanted.name, "dropped")
        inventory = _inventory(connection, built_in)
        if not inventory.foreign(built_in.name):
            _drop_tables(connection, built_in, inventory)
            _drop_schema(connection, built_in, inventory)
        connection.commit()


def _inventory(connection: psycopg.Connection, built_in: BuiltIn) -> Inventory:
    return inventory_of(connection, built_in.schema, list(built_in.tables))


def _refuse_foreign(target: Target, built_in: BuiltIn, inventory: Inventory) -> None:
    if foreign := inventory.foreign(built_in.name):
        names = ", ".join(map(built_in.qualified, foreign))
        raise target.error(
            f"a database without tables of others where the data set {built_in.name} goes",
            f"{names}, which Holdfast did not make",
            "drop or rename them yourself if they can go, name another database in the URL,"
            " or leave `dataset` out to run on them as they are",
        )


def _can_be_reused(
    connection: psycopg.Connection, built_in: BuiltIn, scale: int, inventory: Inventory
) -> bool:
    mark = Mark(FORMAT, built_in.name, scale)
    if [*inventory.marks] != [*built_in.tables] or set(inventory.marks.values()) != {mark}:
        return False
    try:
        with connection.transaction():  # a savepoint: tables that were altered must not end the load
            return not _broken(connection, (*built_in.invariants(scale), *built_in.complete(scale)))
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction):
        return False


def _load_anew(
    connection: psycopg.Connection, target: Target, built_in: BuiltIn, scale: int, inventory: Inventory
) -> None:
    _drop_tables(connection, built_in, inventory)
    mark = Mark(FORMAT, built_in.name, scale)
    if not inventory.schema_is_there:
        connection.execute(f"CREATE SCHEMA {built_in.schema}".encode())
        connection.execute(f"COMMENT ON SCHEMA {built_in.schema} IS '{mark.comment}'".encode())
    connection.execute(built_in.create.encode())
    for table in built_in.tables:
        connection.execute(f"COMMENT ON TABLE {built_in.qualified(table)} IS '{mark.comment}'".encode())
    known = built_in.fill(connection, scale)
    connection.execute(built_in.finish.encode())
    for table in built_in.tables:
        connection.execute(f"ANALYZE {built_in.qualified(table)}".encode())
    figures = _figures(connection, built_in)
    wrong = [
        f"{name}: expected {value}, found {figures.get(name)}"
        for name, value in known.items()
        if figures.get(name) != value
    ]
    wrong += _broken(connection, built_in.invariants(scale))
    if wrong:
        raise target.error(
            f"the data set {built_in.name} to be complete after its load",
            f"other rows ({'; '.join(wrong)})",
            "look for triggers or rules that change rows in this database",
        )


def _drop_tables(connection: psycopg.Connection, built_in: BuiltIn, inventory: Inventory) -> None:
    """Only what carries our mark, and never what others built upon it."""
    if inventory.marks:
        names = ", ".join(map(built_in.qualified, inventory.marks))
        connection.execute(f"DROP TABLE {names}".encode())


def _drop_schema(connection: psycopg.Connection, built_in: BuiltIn, inventory: Inventory) -> None:
    if inventory.schema_mark is None or inventory.schema_mark.name != built_in.name:
        return
    try:
        with connection.transaction():
            connection.execute(f"DROP SCHEMA {built_in.schema}".encode())
    except psycopg.errors.DependentObjectsStillExist:
        pass  # someone put something of theirs into it


def _figures(connection: psycopg.Connection, built_in: BuiltIn) -> Mapping[str, int]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(built_in.figures.encode()).fetchone() or {}


def _broken(connection: psycopg.Connection, invariants: Iterable[Invariant]) -> list[str]:
    broken = []
    for invariant in invariants:
        row = connection.execute(invariant.query.encode()).fetchone()
        if row is None or row[0] != row[1]:
            expected, actual = row or ("a row", "none")
            broken.append(f"{invariant.says}: expected {expected}, found {actual}")
    return broken
