"""A target's name is looked up whenever a connection is opened: lanes follow where it leads."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.stack.target import Target
from tests.parity.parity_runs import ENGINES

LANES = 4
OWN_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'

ROOT = Path(__file__).parents[2]


def with_own_hosts(hosts: Path, *command: str) -> list[str]:
    """A command in a mount namespace whose /etc/hosts is the given file."""
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", OWN_HOSTS, str(hosts), *command]


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    file = tmp_path / "hosts"
    file.write_text("127.0.0.1 localhost\n")
    if (
        shutil.which("unshare") is None
        or subprocess.run(with_own_hosts(file, "true"), check=False).returncode
    ):
        pytest.skip("this machine lets us have no mount namespace")
    return file


@pytest.mark.timeout(300)  # the first run of a machine compiles
@pytest.mark.parametrize(
    ("driver", "engine"),
    [
        ("redis", "wire"),
        ("http", "client"),
        pytest.param("redis", "client", marks=pytest.mark.long),
        pytest.param("http", "wire", marks=pytest.mark.long),
    ],
)
def test_lanes_follow_a_name_that_leads_elsewhere(hosts: Path, driver: str, engine: str) -> None:
    program = (sys.executable, "-m", "tests.parity.moving_name")
    command = with_own_hosts(hosts, *program, str(hosts), driver, engine)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["before"] > 0
    assert found["accepted"] >= 1, "the second place is dialled"
    assert found["after"] >= found["planned"] * 3 // 4, found
    (said,) = found["said"]
    assert re.search(r"connected to 127\.0\.0\.2:\d+ \(.*\), then 127\.0\.0\.3:\d+ \(", said)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("driver", "engine"),
    [
        ("redis", "wire"),
        ("postgres", "client"),
        pytest.param("redis", "client", marks=pytest.mark.long),
        pytest.param("postgres", "wire", marks=pytest.mark.long),
        *(pytest.param("http", engine, marks=pytest.mark.long) for engine in ENGINES),
    ],
)
def test_an_address_that_swallows_everything_costs_half_a_second_where_there_is_another(
    hosts: Path, backend: Callable[[], Target], driver: str, engine: str
) -> None:
    program = [sys.executable, "-m", "tests.parity.silent_address", str(hosts), driver, engine]
    if driver == "postgres":
        real = backend()
        program += [str(real.port), real.username or "", real.password or ""]
    done = subprocess.run(
        with_own_hosts(hosts, *program), cwd=ROOT, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    # What was under way when the connections broke is lost; what came behind it waited for the other address.
    lost = found["planned"] - found["outcomes"]["OK"]
    assert lost <= 2 * LANES, found
