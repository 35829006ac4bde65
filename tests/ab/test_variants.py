"""The words that make a variant: what they mean, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.ab.variant import FORMS, parse_variant
from bench.cli.main import run as bench
from bench.core.errors import UsageError
from tests.helpers.scenarios import BRIEF


def test_every_key_has_its_place() -> None:
    found = parse_variant(
        "b",
        [
            "set=workloads.cache.rate=5000/s",
            "set=workloads.cache.lanes=20",
            "settings=redis.maxmemory-policy=allkeys-lru",
            "settings=redis.io-threads=4",
            "program=redis=/usr/bin/redis-server",
            "env=API_TOKEN=a=b",
            'build=make "the release"',
            "start=./server --port 8080",
            "revision=v1.4",
            "stack=external",
            "in=.",
        ],
    )
    assert found.overrides == ("workloads.cache.rate=5000/s", "workloads.cache.lanes=20")
    assert found.settings == {"redis": {"maxmemory-policy": "allkeys-lru", "io-threads": "4"}}
    assert found.environment == {"HOLDFAST_REDIS_SERVER": "/usr/bin/redis-server", "API_TOKEN": "a=b"}
    assert found.build == ("make", "the release")
    assert found.start == ("./server", "--port", "8080")
    assert (found.revision, found.stack, found.folder) == ("v1.4", "external", Path())


def test_the_value_of_a_variable_is_shown_nowhere() -> None:
    found = parse_variant("a", ["env=PASSWORD=hush", "set=seed=2"])
    assert found.shown == "env=PASSWORD, set=seed=2"
    assert "hush" not in repr(found)


def test_a_variant_without_words_is_the_scenario_as_it_is() -> None:
    assert parse_variant("a", []).shown == "as it is"


@pytest.mark.parametrize("key", FORMS)
def test_a_key_without_its_value_is_refused_with_an_example(key: str) -> None:
    with pytest.raises(UsageError, match=f"such as {key}="):
        parse_variant("a", [f"{key}="])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sett=x=1", "did you mean set"),
        ("workloads.cache.lanes=20", "expected one of set, stack"),
        ("settings=redis=4", "such as settings=redis.io-threads=4"),
        ("program=nginx=/bin/x", "such as program=redis"),
        ("env=ALONE", "such as env="),
        ("in=nowhere", "expected a folder, found none"),
        ("with=nowhere", "found no file"),
        ('start="open', "close the quotes"),
        ("revision=v1", "add start=COMMAND"),
    ],
)
def test_what_cannot_be_meant_is_refused(word: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_variant("a", [word])


def test_two_of_what_there_is_once_are_refused() -> None:
    with pytest.raises(UsageError, match="expected stack once"):
        parse_variant("a", ["stack=embedded", "stack=docker"])


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "brief.yaml"
    path.write_text(BRIEF, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "found the same twice"),
        (["--a", "set=seed=1", "--b", "set=seed=1"], 2, "found the same twice"),
        (["--floor", "--b", "set=seed=2"], 2, "expected no --b"),
        (["--b", "set=workloads.none.lanes=2"], 3, "--set"),
        (["--b", "stack=nowhere"], 2, "found"),
        (["--stack", "docker", "--b", "settings=redis.io-threads=4"], 2, "servers that we start"),
        (["--b", "revision=no-such-revision", "--b", "start=true"], 2, "name a commit"),
        (["--b", "build=false"], 2, "expected false to end with 0, found 1"),
        (["--b", "build=no-such-program"], 2, "cannot be started"),
    ],
)
def test_nothing_is_run_where_something_is_wrong(
    scenario: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    out = scenario.parent / "out"
    assert bench(["ab", str(scenario), "--out", str(out), *words]) == code
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
