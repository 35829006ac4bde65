"""The loop over rounds with contestants of our own making, and short turns of the real ones."""

import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import ExitCode
from tests.benchmarks.peers.__main__ import main
from tests.benchmarks.peers.child_process import output_of
from tests.benchmarks.peers.comparison import Comparison, compare
from tests.benchmarks.peers.contestant import Contestant, NotInstalled, Result, TurnFailed
from tests.benchmarks.peers.pgbench import find_pgbench
from tests.benchmarks.peers.programs import DebianProgram
from tests.benchmarks.peers.verdict import Criterion


class Steady:
    """Answers 1000 requests a second; from turn `fails_at` on it fails."""

    def __init__(self, name: str, fails_at: int = 1000, missing: str = "") -> None:
        self.name = name
        self.turns = 0
        self._fails_at = fails_at
        self._missing = missing

    def available(self) -> str:
        if self._missing:
            raise NotInstalled(self._missing)
        return "1"

    def run(self, seconds: float) -> Result:
        self.turns += 1
        if self.turns >= self._fails_at:
            raise TurnFailed("it fell over")
        return Result(round(1000 * seconds), seconds, 1e6, 1e6, 1e6, seconds)


class Plain:
    """A subject without a server."""

    title = "nothing"
    connections = 1
    criteria: Sequence[Criterion] = ()

    def __init__(self, *contestants: Contestant) -> None:
        self.contestants = contestants

    def before_turn(self) -> None:
        """Nothing to do."""

    def after_turn(self, name: str, result: Result) -> Result:
        """The server counts one request more than ours did."""
        return replace(result, counted=result.requests + 1)

    def to_json(self) -> dict[str, Any]:
        return {}


def compared(*contestants: Contestant, rounds: int = 3) -> Comparison:
    comparison = Comparison("plain", "nothing", 1, rounds, 1.0, 1)
    compare(Plain(*contestants), comparison, lambda _: None)
    return comparison


def test_every_contestant_has_one_turn_in_each_round() -> None:
    one, other = Steady("one"), Steady("other")
    comparison = compared(one, other)
    assert (one.turns, other.turns) == (3, 3)
    assert [sorted(found.results) for found in comparison.rounds] == [["one", "other"]] * 3
    assert comparison.rounds[0].order != comparison.rounds[1].order


def test_the_servers_count_stands_beside_the_tools_own() -> None:
    comparison = compared(Steady("one"))
    assert [found.results["one"].counted for found in comparison.rounds] == [1001] * 3
    assert comparison.summaries()["one"].miscounted == 3


def test_one_that_is_not_installed_is_named_and_the_others_run() -> None:
    comparison = compared(Steady("one"), Steady("other", missing="get it there"))
    assert comparison.absent == {"other": "not installed: get it there"}
    assert list(comparison.summaries()) == ["one"]


def test_one_that_fails_drops_out_and_its_finished_rounds_stay() -> None:
    comparison = compared(Steady("one"), Steady("other", fails_at=2))
    assert comparison.absent == {"other": "failed in round 2: it fell over"}
    assert comparison.summaries()["other"].rounds == 1
    assert comparison.summaries()["one"].rounds == 3


def test_a_process_that_fails_tells_its_last_words() -> None:
    with pytest.raises(TurnFailed, match=r"exit status 3: no luck"):
        output_of([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"], 1)
    with pytest.raises(TurnFailed, match="could not be started"):
        output_of(["/nowhere/at/all"], 1)


def test_a_missing_program_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    program = DebianProgram("no-such-program", "redis-tools")
    with pytest.raises(NotInstalled, match="redis-tools"):
        program.find(may_install=False)
    with pytest.raises(NotInstalled, match="by hand"):
        program.find(may_install=True)


def test_a_contestant_that_does_not_exist_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "nobody"]) == ExitCode.USAGE
    assert "redis-benchmark" in capsys.readouterr().err


def test_a_subject_that_does_not_exist_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redis_set"]) == ExitCode.USAGE
    assert "http_static" in capsys.readouterr().err


def test_a_contestant_of_another_subject_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["redis_get", "--only", "wrk"]) == ExitCode.USAGE
    assert "expected a contestant of redis_get, found wrk" in capsys.readouterr().err


def test_a_pgbench_that_is_nowhere_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(NotInstalled, match="pgbench is missing"):
        find_pgbench()


def test_a_server_that_cannot_be_started_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOLDFAST_POSTGRES_BIN", str(tmp_path))
    short = ["--rounds", "1", "--seconds", "0.2", "--only", "ours", "--json", "--out", str(tmp_path / "kept")]
    assert main(["redis_get", "postgres_select", *short]) == ExitCode.TARGET
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["status"]) == ("redis_get", "complete")
    assert (second["name"], second["status"]) == ("postgres_select", "not opened")
    assert "HOLDFAST_POSTGRES_BIN" in second["because"]


def test_ours_alone_runs_and_is_kept_without_a_verdict_on_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What is under way at both ends of a turn belongs to no request: on a busy machine that is longer, and
    # weighs the less the longer the turn.
    for seconds in ("1", "4", "16"):
        short = ["--rounds", "1", "--seconds", seconds, "--only", "ours"]
        code = main(["redis_get", *short, "--out", str(tmp_path / seconds)])
        kept = json.loads((tmp_path / seconds / "redis_get" / "comparison.json").read_text(encoding="utf-8"))
        if code == ExitCode.UNKNOWN:
            break
    assert code == ExitCode.UNKNOWN, kept
    assert "left out by --only: redis-benchmark" in capsys.readouterr().out
    (found,) = kept["rounds"]
    assert found["results"]["ours"]["requests"] > 1_000
    assert found["results"]["ours"]["little"] == pytest.approx(1, abs=0.03)


def real_contestants() -> list[Any]:
    """Each of the others, skipped where it is not installed."""
    has = importlib.util.find_spec
    there = {
        "redis-benchmark": shutil.which("redis-benchmark") is not None,
        "redis-py uvloop": has("uvloop") is not None,
        "Locust user": has("locust") is not None,
    }
    return [
        pytest.param(name, marks=pytest.mark.skipif(not found, reason=f"{name} is not installed"))
        for name, found in there.items()
    ]


@pytest.mark.parametrize("name", real_contestants())
def test_each_other_tool_takes_its_turn(name: str, tmp_path: Path) -> None:
    """What it reports must be possible: a closed loop holds no more time than its connections have."""
    main(["redis_get", "--rounds", "1", "--seconds", "0.5", "--only", name, "--out", str(tmp_path)])
    kept = json.loads((tmp_path / "redis_get" / "comparison.json").read_text(encoding="utf-8"))
    assert kept["absent"] == {}
    result = kept["rounds"][0]["results"][name]
    assert result["requests"] > 100
    assert 0.1 < result["little"] < 1.05
    assert result["p50_ns"] <= result["p99_ns"]


def test_sigterm_keeps_finished_rounds_and_ends_with_130(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.peers",
        "redis_get",
        "--only",
        "ours",
        "--out",
        str(tmp_path),
    ]
    with subprocess.Popen(
        [*command, "--seconds", "0.2", "--rounds", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as running:
        assert running.stderr is not None
        running.stderr.readline()  # the title
        first = running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=60)
    assert first.startswith("round 1 of 1000, ours")
    assert running.returncode == ExitCode.INTERRUPTED
    assert "INTERRUPTED" in out
    kept = json.loads((tmp_path / "redis_get" / "comparison.json").read_text(encoding="utf-8"))
    assert kept["status"] == "interrupted"
    assert kept["rounds"][0]["results"]["ours"]["requests"] > 0
