"""Settings of the reference API: read once, refused in words."""

import os
import socket
import subprocess
import sys

import pytest

from bench.reference_api.settings import SettingsError, read_settings
from tests.reference_api.api_process import ROOT


def test_without_variables_there_are_defaults() -> None:
    settings = read_settings({})
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.redis.address == "127.0.0.1:6379"
    assert settings.database.address == "127.0.0.1:5432"
    assert (settings.deadline_s, settings.pool, settings.redis_pool) == (1.0, 10, 50)


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert read_settings({"API_PORT": "", "REDIS_URL": " "}) == read_settings({})


def test_every_problem_is_told_at_once() -> None:
    bad = {
        "API_PORT": "70000",
        "API_POOL": "0",
        "API_DEADLINE_MS": "1.5",
        "API_CACHE_TTL_S": "nan",
        "API_BREAKER_RESET_S": "-1",
        "API_ITEMS": "١٢",
        "REDIS_URL": "http://127.0.0.1:1",
    }
    with pytest.raises(SettingsError) as caught:
        read_settings(bad)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(bad)
    for name in bad:
        assert any(name in line and "expected" in line and "found" in line for line in lines), name


def test_no_password_is_shown() -> None:
    urls = {"REDIS_URL": "redis://:hush/hush@h:1", "DATABASE_URL": "postgresql://u:hush@h:port/db"}
    with pytest.raises(SettingsError) as caught:
        read_settings(urls)
    assert "hush" not in str(caught.value)
    good = read_settings({"REDIS_URL": "redis://:hush@h:1", "DATABASE_URL": "postgresql://u:hush@h/db"})
    assert "hush" not in repr(good)


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.reference_api"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_bad_settings_end_it_with_a_sentence_and_2() -> None:
    done = run(API_POOL="many")
    assert done.returncode == 2
    assert "API_POOL: expected a whole number from 1 to 1000, found 'many'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "no such host"])
def test_an_address_that_cannot_be_listened_on_ends_it_with_a_sentence_and_1(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(API_HOST=host, API_PORT=str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "API_PORT" in done.stderr
    assert "Traceback" not in done.stderr
