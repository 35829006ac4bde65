"""The comment on a table that says it is ours, and what stands under the names that a set needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

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
    found = _MARK.match(comment or "")
    return Mark(int(found[1]), found[2], int(found[3])) if found else None


@dataclass(frozen=True)
class Standing:
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


def standing(connection: Connection, schema: str, tables: list[str]) -> Standing:
    """Look up the names."""
    found = connection.execute(
        "SELECT c.relname, c.relkind = 'r', pg_catalog.obj_description(c.oid, 'pg_class')"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema, tables),
    ).fetchall()
    marks = {name: read_mark(comment) for name, _, comment in found}
    row = connection.execute(
        "SELECT pg_catalog.obj_description(oid, 'pg_namespace')"
        " FROM pg_catalog.pg_namespace WHERE nspname = %s",
        (schema,),
    ).fetchone()
    return Standing(
        marks={table: marks[table] for table in tables if table in marks},
        not_tables=tuple(name for name, is_table, _ in found if not is_table),
        schema_is_there=row is not None,
        schema_mark=read_mark(row[0]) if row else None,
    )
