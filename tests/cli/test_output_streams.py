"""Where a command writes to: pipes, devices, closed and full outputs, terminals of few letters."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bench.cli.main import run as bench
from bench.results.layout import write_whole
from tests.helpers.synthetic_run import MS, SyntheticRun

ROOT = Path(__file__).parents[2]


@pytest.fixture
def saved_run(tmp_path: Path) -> Path:
    samples = {"cache/get/response/ok": [(MS, 500)]}
    return SyntheticRun(sla=["cache.response.p50 < 10ms"], samples=samples).write(tmp_path / "results")


def shell(script: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `bench ARGUMENTS` does under a shell's redirections; "$@" in `script` is the command."""
    command = ["sh", "-c", script, "sh", sys.executable, "-m", "bench", *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_a_pipe_is_written_to_and_stays_a_pipe(saved_run: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert bench(["report", str(saved_run), "--format", "csv", "--out", str(pipe)]) == 0
    reader.join(timeout=60)
    assert read[0].startswith("run,scenario,status")
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_standard_output_as_a_file_is_appended_to(saved_run: Path, tmp_path: Path) -> None:
    kept = tmp_path / "summary.md"
    kept.write_text("what stood there before\n")
    arguments = ("report", saved_run, "--format", "markdown", "--out", "/dev/stdout")
    done = shell(f'"$@" >> "{kept}"', *arguments)
    assert done.returncode == 0, done.stderr
    before, _, after = kept.read_text().partition("\n")
    assert before == "what stood there before"
    assert "PASS" in after
    assert Path("/dev/stdout").is_symlink()


def test_a_link_stays_a_link_to_the_new_text(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    write_whole(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.parametrize(
    "arguments", [["report", "RUN", "--out", ""], ["report", ""], ["assess", "--out", ""]]
)
def test_an_empty_path_is_refused(
    saved_run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert bench([str(saved_run) if one == "RUN" else one for one in arguments]) == 2
    assert "the name is empty; name a f" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["report", "judge"])
def test_what_is_said_to_nobody_changes_no_exit_code(saved_run: Path, command: str) -> None:
    done = shell('"$@" >&-', command, saved_run)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_output_is_told(saved_run: Path, unbuffered: str) -> None:
    done = shell('"$@" > /dev/full', "report", saved_run, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert "found 'No space left on device'" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_that_a_full_output_does_not_take_is_told() -> None:
    done = shell('"$@" > /dev/full', "--help", PYTHONUNBUFFERED="")
    assert done.returncode == 2
    assert "found 'No space left on device'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_where_nothing_takes_a_word_the_exit_code_is_still_no_slas(unbuffered: str) -> None:
    for command in (("--help",), ("list",), ("run", "nowhere.yaml")):
        done = shell('"$@" > /dev/full 2> /dev/full', *command, PYTHONUNBUFFERED=unbuffered)
        assert done.returncode in (2, 3), command


def test_letters_that_an_output_does_not_have_end_no_command(saved_run: Path) -> None:
    results = saved_run.parent
    for arguments in (("assess", results), ("compare", saved_run, results), ("report", saved_run)):
        done = shell('"$@"', *arguments, PYTHONIOENCODING="ascii")
        assert done.returncode in (0, 1, 5)  # what they say of such a run, and no bug of ours
        assert done.stderr == ""


def test_a_problem_longer_than_a_terminal_is_broken_between_words_and_one_line_in_a_log() -> None:
    command = [sys.executable, "-m", "bench", "run", "redis_latency", "--set", "workloads.cache.rate=abc"]
    environment = {**os.environ, "COLUMNS": "60"}
    logged = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, stderr=theirs, env=environment, cwd=ROOT, check=False)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert len(logged.stderr.splitlines()) == 1
    assert max(map(len, shown.splitlines())) < 60
    assert shown.split() == logged.stderr.split()
