"""A start that is interrupted or killed leaves nothing, whatever was under way."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT, child_process, is_running
from tests.helpers.waiting import eventually
from tests.stack.postgres_traces import descendants

PROGRAM = """
import signal
import time
from pathlib import Path
from bench.stack.stack import open_stack
signal.signal(signal.SIGINT, signal.default_int_handler)
with open_stack("embedded", {"api", "postgres_16"}, Path("logs")):
    print("up", flush=True)
    while True:
        time.sleep(0.1)  # a pause would sleep through a signal that came just before it
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        pytest.param("postgres.log", "creating", id="initdb"),
        pytest.param("api-events.jsonl", "started", id="api", marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_nothing_stays_behind(log: str, said: str, number: signal.Signals, open_folder: Path) -> None:
    temporary = open_folder / "tmp"
    temporary.mkdir(mode=0o755)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(open_folder / "cache"),  # with nothing in it, so that initdb is run
    }
    with child_process(
        [sys.executable, "-c", PROGRAM],
        cwd=open_folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        path = open_folder / "logs" / log
        eventually(lambda: path.exists() and said in path.read_text(), f"{said} in {log}")
        started = descendants(process.pid)
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.read() == b""  # it was not up yet
    assert len(started) > 2
    eventually(lambda: not any(map(is_running, started)), "every process gone")
    eventually(lambda: not any(temporary.iterdir()), "every directory gone")
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    assert [row for row in rows if int(row.split()[4]) in started] == []  # by whom it was created
