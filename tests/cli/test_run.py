"""`bench run` from outside: verdicts, exit codes, and what is left behind."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import psutil
import pytest

from tests.helpers.command_line import Bench
from tests.helpers.other_work import is_excused, undisturbed
from tests.helpers.scenarios import BRIEF
from tests.helpers.waiting import COMPILE_S, eventually

pytestmark = pytest.mark.timeout(300)


def has_windows(bench: Bench, lines: int = 20) -> bool:
    """Whether a run is under way and has written that many windows."""
    for folder in bench.partial():
        log = folder / "windows.hlog"
        if log.exists() and len(log.read_text(encoding="ascii").splitlines()) > lines:
            return True
    return False


def server_of(pid: int) -> psutil.Process:
    """The Redis that a run has started."""
    names = ("valkey-server", "redis-server")
    return next(
        child
        for child in psutil.Process(pid).children(recursive=True)
        if any(name in " ".join(child.cmdline()) for name in names)
    )


def outcomes(record: dict) -> dict[str, int]:
    return record["totals"]["outcomes"]


def test_a_run_whose_rules_hold_prints_a_json_array_exits_0_and_has_every_planned_arrival(
    bench: Bench,
) -> None:
    done = bench.undisturbed_run(bench.scenario())
    assert done.code == 0, done.err
    (verdict,) = done.verdicts
    assert verdict["status"] in {"PASS", "WARN"}
    assert [check["rule"] for check in verdict["checks"]] == ["cache.response.p95 < 3s", "cache.errors < 1%"]
    folder = bench.folders()[-1]
    assert verdict["run"] == folder.name
    assert json.loads((folder / "verdict.json").read_text()) == verdict
    record = bench.record()
    assert sum(outcomes(record).values()) == record["totals"]["planned"] > 0
    from bench.results.reader import Run

    measured = sum(count["planned"] for count in record["workloads"][0]["counts"] if count["measured"])
    assert int(Run.load(folder).histogram("response").sum()) == measured


def test_several_scenarios_give_one_array_and_the_worst_exit_code(bench: Bench) -> None:
    bench.scenario(BRIEF, "a.yaml")
    bench.scenario(
        BRIEF.replace("errors < 1%", "throughput >= 1000000/s").replace("brief", "other"), "b.yaml"
    )
    done = undisturbed(
        lambda: bench.run(bench.folder, "--quick"),
        lambda _: any(is_excused(folder) for folder in bench.folders()[-2:]),
    )
    assert done.code == 1, done.err
    assert [verdict["scenario"] for verdict in done.verdicts] == ["brief", "other"]
    assert done.verdicts[1]["status"] == "FAIL"


@pytest.mark.long
def test_equal_seeds_give_equal_plans_and_another_seed_another(bench: Bench) -> None:
    brief = BRIEF.replace("for: 2s", "for: 200ms").replace("for: 500ms", "for: 100ms")
    for seed in ("7", "7", "8"):
        bench.run(bench.scenario(brief), "--seed", seed)
    digests = [json.loads((folder / "run.json").read_text())["plan"]["digest"] for folder in bench.folders()]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.long
def test_a_stopped_server_is_seen_in_response_time_and_not_in_service_time(bench: Bench) -> None:
    text = BRIEF.replace("for: 2s", "for: 5s").replace("p95 < 3s", "p99 < 10s")
    process = bench.start("run", bench.scenario(text), "--json", "--out", bench.results)
    try:
        eventually(lambda: has_windows(bench), "the run has windows", COMPILE_S)
        server = server_of(process.pid)
        server.suspend()
        # The outage is made of the run's own clock: it lasts until a second of windows has gone by.
        (folder,) = bench.partial()
        series = folder / "series.csv"
        start = int(series.read_text().splitlines()[-1].split(",")[1])
        eventually(
            lambda: int(series.read_text().splitlines()[-1].split(",")[1]) > start + 1_000_000_000,
            "another second is written",
            COMPILE_S,
        )
        server.resume()
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    from bench.core.histogram import percentile_ns
    from bench.results.reader import Run

    run = Run.load(bench.folders()[-1])
    record = bench.record()
    assert sum(outcomes(record).values()) == record["totals"]["planned"], err
    response, service = run.histogram("response"), run.histogram("service")
    assert percentile_ns(response, 95) > 300_000_000
    assert percentile_ns(service, 50) < percentile_ns(response, 95) / 10


@pytest.mark.long
def test_a_killed_server_is_restarted_and_the_run_goes_on(bench: Bench) -> None:
    text = BRIEF.replace("for: 2s", "for: 4s")
    process = bench.start("run", bench.scenario(text), "--json", "--out", bench.results)
    try:
        eventually(lambda: has_windows(bench), "the run has windows", COMPILE_S)
        server_of(process.pid).kill()
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    record = bench.record()
    assert record["status"] == "complete", err
    assert sum(outcomes(record).values()) == record["totals"]["planned"]
    assert record["workloads"][0]["counters"]["reconnects"] >= 8
    events = [json.loads(line) for line in (bench.folders()[-1] / "events.jsonl").read_text().splitlines()]
    kinds = {event["kind"] for event in events}
    assert {"service_died", "service_restarted", "reconnected"} <= kinds


def test_ctrl_c_keeps_the_partial_run_marks_it_and_leaves_nothing_running(bench: Bench) -> None:
    text = BRIEF.replace("for: 2s", "for: 60s")
    process = bench.start("run", bench.scenario(text), "--json", "--out", bench.results)
    try:
        eventually(lambda: has_windows(bench), "the run has windows", COMPILE_S)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert json.loads(out) == []
    record = bench.record()
    assert record["status"] == "interrupted"
    assert {"verdict.json", "report.html"} <= {path.name for path in bench.folders()[0].iterdir()}
    assert sum(outcomes(record).values()) == record["totals"]["planned"] > 0
    eventually(lambda: not any(child.is_running() for child in started), "its children have ended")
    assert not bench.partial()


@pytest.mark.long
def test_a_killed_harness_leaves_no_process_and_its_run_is_kept_as_interrupted(bench: Bench) -> None:
    text = BRIEF.replace("for: 2s", "for: 60s")
    process = bench.start("run", bench.scenario(text), "--json", "--out", bench.results)
    try:
        eventually(lambda: has_windows(bench), "the run has windows", COMPILE_S)
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate(timeout=60)
    finally:
        process.kill()
    eventually(lambda: not any(child.is_running() for child in started), "its children have ended")
    assert len(bench.partial()) == 1
    done = bench.run(bench.scenario(), "--quick")
    assert done.code == 0 or is_excused(bench.folders()[-1]), done.err
    assert not bench.partial()
    assert not list(bench.results.glob(".stack-*"))
    states = sorted(json.loads((folder / "run.json").read_text())["status"] for folder in bench.folders())
    assert states == ["complete", "interrupted"]
    assert all((folder / "report.html").exists() for folder in bench.folders())


def test_results_that_cannot_be_written_are_told_without_a_traceback(bench: Bench) -> None:
    done = bench("run", bench.scenario(), "--out", "/proc/nowhere")
    assert done.code == 2
    assert "cannot be written" in done.err
    assert "Traceback" not in done.err


@pytest.mark.long
def test_the_generator_does_not_grow_with_the_run(bench: Bench) -> None:
    """Twenty thousand arrivals a second; the resident memory of the second half is that of the first."""
    text = """\
scenario: still
purpose: The harness keeps its size
workloads:
  - {name: nothing, target: none, driver: noop, lanes: 1, arrivals: poisson, rate: 20000/s}
phases:
  - {name: steady, for: 5s}
sla:
  - nothing.errors < 1%
"""
    bench.run(bench.scenario(text))
    from bench.results.reader import Run

    rows = Run.load(bench.folders()[-1]).series()
    sizes = [row["generator_rss_bytes"] for row in rows]
    half = len(sizes) // 2
    assert max(sizes[half:]) - max(sizes[:half]) < 2_000_000
    assert bench.record()["totals"]["planned"] > 90_000


@pytest.mark.long
def test_a_stall_of_the_harness_itself_makes_the_run_invalid_and_not_failed(bench: Bench) -> None:
    text = BRIEF.replace("for: 2s", "for: 4s").replace("p95 < 3s", "p95 < 100ms")

    def stalled() -> dict[str, Any]:
        process = bench.start("run", bench.scenario(text), "--json", "--out", bench.results)
        try:
            eventually(lambda: has_windows(bench), "the run has windows", COMPILE_S)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1)  # the stall itself
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == 5, err
        (verdict,) = json.loads(out)
        broken: dict[str, Any] = next(
            check for check in verdict["checks"] if check["metric"] == "cache.response.p95"
        )
        assert broken["status"] == "INVALID"
        return broken

    # Where others had the processors as well, the reason names them first.
    broken = undisturbed(stalled, lambda check: "others used" in check["because"])
    assert "generator" in broken["because"]


@pytest.mark.long
def test_work_done_after_the_measured_time_is_no_throughput_of_it(bench: Bench) -> None:
    """One lane answers ten times a second; twenty arrivals a second are planned, and all end at last."""
    text = """\
scenario: slow
purpose: The second half is done after the end
workloads:
  - name: queue
    target: redis
    driver: redis
    lanes: 1
    operations:
      wait: {command: [BLPOP, nothing, "0.1"]}
    arrivals: constant
    rate: 20/s
    deadline: 60s
phases:
  - {name: steady, for: 3s}
sla:
  - queue.throughput >= 18/s
"""
    done = bench.undisturbed_run(bench.scenario(text))
    assert done.code == 1, done.err
    assert done.verdicts[0]["checks"][0]["observed"] < 15
    assert outcomes(bench.record())["ok"] == 60


def test_a_reader_that_goes_away_ends_neither_the_run_nor_its_exit_code(bench: Bench) -> None:
    process = bench.start("run", bench.scenario(), "--out", bench.results)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    try:
        code = process.wait(timeout=180)
    finally:
        process.kill()
    assert code == 0 or (code == 5 and is_excused(bench.folders()[-1]))
    assert (bench.folders()[-1] / "verdict.json").exists()


def test_a_list_whose_reader_goes_away_is_no_failed_sla(bench: Bench) -> None:
    process = bench.start("list")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    try:
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
