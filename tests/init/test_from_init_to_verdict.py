"""A new user's way: an application of their own with a login, `bench init`, a verdict, and a slow Redis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bench.stack.probes.health import probe
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target
from bench.stack.target_url import url_of
from tests.helpers.command_line import Bench
from tests.helpers.waiting import eventually

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def notes(stores: Mapping[str, Target], tmp_path: Path) -> Iterator[Target]:
    """The application, up."""
    port = free_loopback_port()
    command = [sys.executable, "-m", "uvicorn", "tests.init.notes_app:app", "--port", str(port)]
    urls = {"REDIS_URL": url_of(stores["redis"]), "DATABASE_URL": url_of(stores["postgres"])}
    with (tmp_path / "notes.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=Path(__file__).parents[2], env=os.environ | urls, stdout=log, stderr=log
        )
        try:
            target = Target("api", "http", "127.0.0.1", port)
            eventually(lambda: probe(target).state == "up", "the application answers")
            yield target
        finally:
            server.terminate()
            server.wait()


def test_a_new_user_gets_a_verdict_and_sees_what_a_slow_redis_does(
    stores: Mapping[str, Target], notes: Target, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    out = tmp_path / "load"
    urls = [url_of(target) for target in (*stores.values(), notes)]
    done = bench("init", *urls, "--name", "notes", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "answers, Notes" in done.out
    assert "api: 3 requests to load, 6 more as comments" in done.out
    scenario, stack = out / "notes.yaml", out / "stacks" / "notes.yaml"
    (stack.parent / ".env").write_text(f"POSTGRES_PASSWORD={stores['postgres'].password}\n")
    marked = re.compile(r"^( *)# (?=faults:|  - \{latency|- recovery)", re.MULTILINE)
    scenario.write_text(marked.sub(r"\1", scenario.read_text()))
    stack.write_text(stack.read_text().replace("faults: []", "faults: [redis]"))
    done = bench.run(scenario, "--quick")
    # Late answers of Redis are its rules' business, and a busy machine's verdict is INVALID.
    assert done.code in {0, 1, 5}, done.err
    record = bench.record()
    assert {target["name"] for target in record["stack"]["targets"]} == {"redis", "postgres", "api"}
    (fault,) = record["faults"]
    assert (fault["target"], fault["kind"]) == ("redis", "latency")
    assert fault["effective_ns"] is not None
    assert fault["healed_ns"] is not None
    # Nothing is refused by the application; a machine that others keep busy may lose requests.
    status = {check["metric"]: check["status"] for check in done.verdicts[0]["checks"]}
    assert {status[f"{name}_load.errors"] for name in ("redis", "postgres", "api")} <= {"PASS", "INVALID"}
