"""How a process may be started and ended: closed streams, ignored and repeated signals, odd paths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bench.cli.session_opening import stop_signals
from bench.run.stop_request import StopRequest
from tests.helpers.command_line import Bench
from tests.helpers.prepared import run_bench
from tests.helpers.waiting import COMPILE_S, eventually

NOOP = """
scenario: brief
purpose: needs nobody
workloads:
  - {name: nothing, target: none, driver: noop, lanes: 1, arrivals: constant, rate: 50/s}
phases: [{name: steady, for: FOR}]
sla: ["nothing.errors < 1%"]
"""


SLOW = """
scenario: slow_start
purpose: a stack that takes a while
workloads:
  - name: rows
    target: postgres
    driver: postgres
    lanes: 1
    operations: {one: {sql: SELECT 1}}
    arrivals: constant
    rate: 10/s
phases: [{name: steady, for: 1s}]
"""


def in_shell(folder: Path, script: str, *words: str | bytes | Path) -> subprocess.CompletedProcess[bytes]:
    """What a script does in which "$@" is `bench WORDS`."""
    return subprocess.run(
        [os.fsencode(word) for word in ("sh", "-c", script, "sh", sys.executable, "-m", "bench", *words)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        capture_output=True,
        check=False,
        timeout=200,
        # Where the tests run under nohup they ignore it, and so would all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


def typed(folder: Path, *words: str | bytes | Path) -> subprocess.CompletedProcess[str]:
    """What `bench WORDS` does; its output must be text."""
    return run_bench([os.fsdecode(word) for word in words], os.environ, folder)


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    path = tmp_path / "brief.yaml"
    path.write_text(NOOP.replace("FOR", "300ms"), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "closed", [*(pytest.param(one, marks=pytest.mark.long) for one in ("2>&-", ">&-", "<&-")), "<&- >&- 2>&-"]
)
@pytest.mark.timeout(300)
def test_a_closed_standard_stream_changes_nothing_about_a_run(
    brief: Path, tmp_path: Path, closed: str
) -> None:
    done = in_shell(tmp_path, f'"$@" {closed}', "run", brief, "--out", "results", "--json")
    assert done.returncode in (0, 5), (done.stdout, done.stderr)  # 5 where others keep the machine busy
    (folder,) = (tmp_path / "results").glob("2*")
    for file in folder.iterdir():  # what was said went nowhere, and into no file that took its number
        assert b"measuring this machine" not in file.read_bytes(), file


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_path_that_is_no_text_is_a_path_like_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"brief\xfe.yaml")
    (tmp_path / name).write_text(NOOP.replace("FOR", "300ms"), encoding="utf-8")
    done = typed(tmp_path, "run", name, "--out", b"O/\xff")
    assert done.returncode in (0, 5), done.stderr
    assert "\\udcff" in done.stdout
    (folder,) = (tmp_path / os.fsdecode(b"O/\xff")).glob("2*")
    for words in (
        ("report", folder),
        ("report", folder, "--format", "json"),
        ("report", folder, "--format", "html", "--out", b"page\xff.html"),
        ("report", folder.parent),
        ("judge", folder),
        ("list", name),
        ("plan", name),
        ("validate", name),
    ):
        done = typed(tmp_path, *words)
        assert "Traceback" not in done.stderr, (words, done.stderr)
        assert done.returncode in (0, 5), (words, done.stderr)


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_run_under_nohup_goes_on_after_the_terminal_has_gone(brief: Path, tmp_path: Path) -> None:
    brief.write_text(NOOP.replace("FOR", "2s"), encoding="utf-8")
    script = (
        'trap "" HUP; "$@" & pid=$!; until ls results/.*partial/run.json; do sleep 0.05; done; '
        "kill -HUP $pid; wait $pid"
    )
    done = in_shell(tmp_path, script, "run", brief, "--out", "results")
    assert done.returncode in (0, 5), done.stderr


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_run_without_nohup_ends_in_order_with_its_terminal(brief: Path, tmp_path: Path) -> None:
    # Long enough that it ends by the signal, however late that comes.
    brief.write_text(NOOP.replace("FOR", "60s"), encoding="utf-8")
    script = (
        '"$@" & pid=$!; until ls results/.*partial/run.json; do sleep 0.05; done; kill -HUP $pid; wait $pid'
    )
    done = in_shell(tmp_path, script, "run", brief, "--out", "results")
    assert done.returncode == 130, done.stderr


@pytest.mark.timeout(300)
def test_ctrl_c_ends_a_start_of_the_stack_and_a_second_one_lets_it_clear_up(bench: Bench) -> None:
    scenario = bench.scenario(SLOW)
    temporary = bench.folder / "tmp"
    temporary.mkdir(mode=0o755)
    for folder in (bench.folder, *list(bench.folder.parents)[:3]):
        if folder.stat().st_uid == os.getuid():
            folder.chmod(folder.stat().st_mode | 0o055)  # Postgres runs as somebody else
    process = bench.start("run", scenario, "--out", bench.results, TMPDIR=str(temporary))
    try:
        log = lambda: [*bench.results.glob(".stack-*/postgres*.log")]  # noqa: E731 - asked again and again
        eventually(lambda: log() or process.poll() is not None, "the log is there", COMPILE_S)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # a person's second Ctrl-C; whenever it comes, the same must hold
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted while the stack was starting" in err
    assert time.monotonic() - began < 30
    eventually(lambda: not any(temporary.iterdir()), "nothing is left", COMPILE_S)
    assert bench.partial() == []


def test_a_stop_request_can_be_made_at_any_moment_of_who_waits_for_it() -> None:
    """A handler runs in the middle of the main thread's own calls: with a lock in them it would hang."""
    stop = StopRequest()
    main = threading.get_ident()
    with stop_signals(stop):
        end = time.monotonic() + 0.5
        interrupter = threading.Thread(
            target=lambda: [signal.pthread_kill(main, signal.SIGINT) or time.sleep(0) for _ in range(2000)]
        )
        interrupter.start()
        while time.monotonic() < end:
            stop.wait(0.0)
            assert stop.count >= 0
        interrupter.join()
    assert stop.is_asked
    assert stop.wait(10.0)


def test_who_waits_is_woken_by_a_request_of_another_thread() -> None:
    stop = StopRequest()
    threading.Timer(0.05, stop.ask_at_once).start()
    assert stop.wait(60.0)
    assert stop.count == 2
