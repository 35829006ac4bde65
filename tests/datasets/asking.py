"""psql's and pgbench's errands, done in one line."""

import os
import subprocess
from dataclasses import replace

import psycopg

from bench.stack.probes.postgres import libpq_parameters
from bench.stack.services.programs import find_postgres
from bench.stack.target import Target


def connect(target: Target) -> psycopg.Connection:
    return psycopg.connect(**libpq_parameters(target), autocommit=True)


def ask(target: Target, sql: str) -> list[tuple[object, ...]]:
    """Run SQL by itself; the rows of its first statement, none where it gives none."""
    with connect(target) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def elsewhere(target: Target, database: str) -> Target:
    """Another database of the same server."""
    return replace(target, database=database)


def pgbench(target: Target, *words: str) -> None:
    program = str(find_postgres("postgres").bin / "pgbench")
    where = ("-h", target.host, "-p", str(target.port), "-U", str(target.username))
    subprocess.run(
        [program, *where, *words, target.database],
        env=os.environ | {"PGPASSWORD": str(target.password)},
        check=True,
        capture_output=True,
    )
