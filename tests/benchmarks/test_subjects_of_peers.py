"""Short turns of every contestant at the real servers: Postgres, nginx, the reference API."""

import importlib.util
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.stack.probes.connection import ProbeError
from bench.stack.target import Target
from tests.benchmarks.peers import nginx
from tests.benchmarks.peers.__main__ import main
from tests.benchmarks.peers.postgres_tpcb import SCALE
from tests.benchmarks.peers.sql_task import TPCB_LIKE, SqlTask

HAS_NGINX = pytest.mark.skipif(
    not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()), reason="nginx is not installed"
)


def turn_of_each(subject: str, folder: Path, *only: str) -> dict[str, Any]:
    """The record of one round of half-second turns."""
    named = [word for name in only for word in ("--only", name)]
    main([subject, "--rounds", "1", "--seconds", "0.5", "--out", str(folder), *named])
    kept: dict[str, Any] = json.loads((folder / subject / "comparison.json").read_text(encoding="utf-8"))
    return kept


def check_possible(kept: dict[str, Any]) -> None:
    """Who is here ran; nobody's figures hold more time than the connections had."""
    assert all("not installed" in reason for reason in kept["absent"].values()), kept["absent"]
    for name, result in kept["rounds"][0]["results"].items():
        assert result["requests"] > 10, name
        # wrk adds what it believes to have missed. For others, the answers to what was under way at the
        # end belong to a short turn too.
        assert name == "wrk" or result["little"] is None or 0.1 < result["little"] < 1.5, name


@pytest.mark.long
def test_prepared_select_is_counted_by_postgres_as_by_ours(tmp_path: Path) -> None:
    kept = turn_of_each("postgres_select", tmp_path)
    check_possible(kept)
    results = kept["rounds"][0]["results"]
    assert {"ours", "pgbench", "asyncpg uvloop"} <= set(results)
    assert results["ours"]["counted"] == results["ours"]["requests"]
    # Log-in and preparation of others are in the server's count.
    assert 0 <= results["pgbench"]["counted"] - results["pgbench"]["requests"] < 100


@HAS_NGINX
def test_a_static_answer_is_counted_by_nginx_as_by_ours(tmp_path: Path) -> None:
    kept = turn_of_each("http_static", tmp_path)
    check_possible(kept)
    result = kept["rounds"][0]["results"]["ours"]
    assert result["counted"] == result["requests"]
    assert kept["subject"]["servers"][0]["server"] == "nginx"


@pytest.mark.skipif(importlib.util.find_spec("fastapi") is None, reason="the reference API is not installed")
@pytest.mark.long
def test_the_reference_api_answers_ours_and_others(tmp_path: Path) -> None:
    kept = turn_of_each("http_api", tmp_path, "ours", "hey")
    check_possible(kept)
    assert kept["rounds"][0]["results"]["ours"]["little"] == pytest.approx(1, abs=0.2)


@HAS_NGINX
def test_nginx_gives_its_answer_and_is_gone_afterwards(tmp_path: Path) -> None:
    server = nginx.StaticNginx(tmp_path, nginx.PROGRAM.find(may_install=False))
    server.start({}, threading.Event())
    try:
        target = server.target
        assert target is not None
        answer = nginx.http_get(target, nginx.ANSWER_PATH, 5.0)
        assert (answer.status, answer.body.decode()) == (200, nginx.BODY)
        before = nginx.requests_of(target)
        assert nginx.requests_of(target) == before + 1
    finally:
        server.stop()
    with pytest.raises(ProbeError):
        nginx.http_get(target, nginx.ANSWER_PATH, 5.0)


def test_a_missing_nginx_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nginx, "PROGRAM", nginx.DebianProgram("no-such-nginx", "nginx"))
    main(["http_static", "--out", str(tmp_path)])
    assert "http_static: INCONCLUSIVE: no-such-nginx is not on PATH" in capsys.readouterr().out


def test_tpcb_draws_what_pgbench_draws() -> None:
    """pgbench's manual: aid 1..100000 x scale, bid 1..scale, tid 1..10 x scale, delta -5000..5000."""
    task = SqlTask(Target("postgres", "postgres", "127.0.0.1", 1), TPCB_LIKE, SCALE)
    assert task.ranges == {
        "aid": (1, 100_000 * SCALE),
        "bid": (1, SCALE),
        "tid": (1, 10 * SCALE),
        "delta": (-5000, 5000),
    }
    (operation,) = task.scenario(1.0).workloads[0].operations.values()
    assert len(operation.all_statements) == 7
