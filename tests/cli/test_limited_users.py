"""A Redis user who may do what the load asks, and little else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bench.stack.stack import open_stack
from bench.stack.target import Target
from tests.helpers.command_line import Bench

SCENARIO = """
scenario: limited
purpose: A user with few rights
workloads:
  - name: cache
    target: redis
    driver: redis
    engine: ENGINE
    resp: RESP
    lanes: 2
    keys: {count: 10}
    operations: {get: {command: [GET, "{key}"]}}
    arrivals: constant
    rate: 100/s
phases: [{name: steady, for: 1s}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with open_stack("embedded", {"redis"}, tmp_path_factory.mktemp("logs")) as stack:
        target = stack.targets()["redis"]
        with Redis(target.host, target.port) as client:
            for words in ("b on >p ~bench:* resetchannels +get +set", "s on >p ~bench:* resetchannels +set"):
                client.execute_command("ACL", "SETUSER", *words.split())
        yield target


@pytest.mark.parametrize(
    ("engine", "resp"),
    [
        ("wire", "3"),
        ("client", "2"),
        pytest.param("wire", "2", marks=pytest.mark.long),
        pytest.param("client", "3", marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(300)
def test_a_user_without_ping_info_and_client_can_be_measured(
    bench: Bench, server: Target, engine: str, resp: str
) -> None:
    path = bench.scenario(SCENARIO.replace("ENGINE", engine).replace("RESP", resp))
    url = f"redis://b:p@{server.host}:{server.port}"
    done = bench("run", path, "--out", bench.results, REDIS_URL=url)
    assert done.code in (0, 5), done.err  # 5 where others keep the machine busy
    assert bench.record()["totals"]["outcomes"]["ok"] == 100


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
@pytest.mark.timeout(300)
def test_a_right_that_is_missing_is_named_in_whole_words(bench: Bench, server: Target, engine: str) -> None:
    path = bench.scenario(SCENARIO.replace("ENGINE", engine).replace("RESP", "2"))
    done = bench("run", path, "--out", bench.results, REDIS_URL=f"redis://s:p@{server.host}:{server.port}")
    text = " ".join(done.out.split())
    assert "no permissions to run the 'get' command" in text, done.err
    assert "***" not in text


def test_a_password_is_taken_out_by_its_place() -> None:
    from bench.core.sanitize import redacted

    assert redacted("NOPERM no permissions", ["p"]) == "NOPERM no permissions"
    for text in ("invalid 'p'", "AUTH b p", "redis://b:p@h", "word=p;", "`p`", "p"):
        assert "p" not in redacted(text, ["p"]), text
    assert redacted("userhunter2-and-more.", ["hunter2-and-more"]) == "user***."
    assert redacted("redis://b:p%40%2Fx@h p@/x", ["p@/x"]) == "redis://b:***@h ***"
    assert redacted("a+b(c", ["+b("]) == "a***c"
    assert redacted("kept", [None, ""]) == "kept"
    assert redacted("ab abc", ["ab", "abc"]) == "*** ***"


def test_every_place_that_hides_a_password_does_it_the_same_way() -> None:
    import bench

    for package in ("bench", "chaos"):
        for path in (Path(bench.__file__).parents[1] / package).rglob("*.py"):
            if path.name != "sanitize.py":
                assert '"***"' not in path.read_text(), path
