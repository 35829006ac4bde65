"""A server at a socket file answers as one at a port does, in every engine, and whoever else asks it."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bench.core.outcome import Outcome
from bench.stack.assembled import AssembledStack
from bench.stack.probes.postgres import conninfo
from bench.stack.stack_file import load_stack_file
from bench.stack.target import Target
from bench.stack.target_url import url_of
from tests.helpers.command_line import Bench
from tests.parity import postgres_cases, redis_cases
from tests.parity.cases import Group
from tests.parity.parity_runs import ENGINES, run_group

GROUPS = [
    group
    for group in (*redis_cases.GROUPS, *postgres_cases.GROUPS)
    if group.name in ("readable", "broken off")
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group.driver}-{group.name}")
def test_bytes_from_a_socket_file_come_to_the_same_in_every_engine(
    tmp_path: Path, backend: Callable[[], Target], group: Group, engine: str
) -> None:
    needed = backend() if group.driver == "postgres" else None
    result = run_group(group, engine, 0, needed, folder=tmp_path)
    for case, row in zip(group.cases, result.tallies, strict=True):
        assert {outcome for outcome in Outcome if row[outcome]} - {Outcome.DROPPED} == {case.outcome}, case
        texts = {error.text for error in result.errors if error.operation == case.name}
        assert texts <= set(case.words), case


LISTENING = """\
stack: listening
targets:
  cache: {{kind: redis, embedded: {{}}, settings: {{unixsocket: {folder}/redis.sock}}}}
  db: {{kind: postgres, embedded: {{}}, settings: {{unix_socket_directories: {folder}}}}}
"""
STACK = """\
stack: files
targets:
  cache: {{kind: redis, url: "{cache}"}}
  db: {{kind: postgres, url: "{db}"}}
"""
SCENARIO = """\
scenario: files
purpose: Servers at socket files answer both engines
workloads:
  - name: cache
    target: cache
    driver: redis
    engine: wire
    lanes: 4
    operations: {add: {command: [RPUSH, "files:{run}", "{seq}"]}}
    arrivals: constant
    rate: 100/s
  - name: cache_client
    target: cache
    driver: redis
    engine: client
    pool: 4
    operations: {add: {command: [INCR, "asked:{run}"]}}
    arrivals: constant
    rate: 100/s
  - name: rows
    target: db
    driver: postgres
    engine: wire
    lanes: 4
    operations: {add: {sql: "INSERT INTO files VALUES ({run}, {seq})"}}
    arrivals: constant
    rate: 100/s
  - name: rows_client
    target: db
    driver: postgres
    engine: client
    pool: 4
    operations: {add: {sql: "SELECT 1"}}
    arrivals: constant
    rate: 100/s
phases: [{name: steady, for: 4s}]
integrity:
  - {acknowledged_writes: cache, operation: add}
  - {acknowledged_writes: rows, found: "SELECT n FROM files WHERE run = {run}"}
sla: [cache.errors < 1%, cache_client.errors < 1%, rows.errors < 1%, rows_client.errors < 1%]
"""


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_run_at_socket_files_is_probed_sampled_and_read_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    listening = tmp_path / "listening.yaml"
    with (
        tempfile.TemporaryDirectory(prefix="sockets-") as folder,  # below pytest's, Postgres may not enter
        contextlib.ExitStack() as cleanup,
    ):
        Path(folder).chmod(0o777)
        listening.write_text(LISTENING.format(folder=folder))
        stack = AssembledStack(load_stack_file(listening), {"cache", "db"}, tmp_path)
        started = cleanup.enter_context(stack)
        targets = started.targets()
        data = next(each.data_directory for each in started.describe() if each.name == "db")
        with (Path(data or "") / "pg_hba.conf").open("a") as rules:
            rules.write("local all all scram-sha-256\n")
        with psycopg.connect(conninfo(targets["db"])) as admin:
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("CREATE TABLE files (run bigint, n bigint)")
        cache = Target("cache", "redis", f"{folder}/redis.sock", 0, password=targets["cache"].password)
        db = Target(**(vars(targets["db"]) | {"host": folder, "managed": False}))
        file = bench.scenario(STACK.format(cache=url_of(cache), db=url_of(db)), "files.yaml")
        done = bench.run(bench.scenario(SCENARIO), "--stack", str(file))
    assert done.code in {0, 5}, done.err  # a busy machine cannot tell
    record = bench.record()
    (verdict,) = done.verdicts
    assert {check["status"] for check in verdict["checks"]} <= {"PASS", "INCONCLUSIVE"}
    assert all(check["samples"] == 400 and check["observed"] == 0 for check in verdict["checks"])
    assert [(check["acknowledged"], check["found"]) for check in record["integrity"]] == [(400, 400)] * 2
    places = {target["name"]: target["address"] for target in record["stack"]["targets"]}
    assert places == {"cache": cache.host, "db": db.socket_file}
    with (bench.folders()[-1] / "resources.csv").open() as file:
        rows = list(csv.DictReader(file))
    for source, said in (("cache", "clients"), ("db", "idle")):
        sampled = [row for row in rows if row["source"] == source]
        assert any(row[said] for row in sampled)
        assert any(row["rss_bytes"] for row in sampled), "who listens at a socket file is a process of here"
