"""`bench explain` and the report of runs that were written as literal numbers."""

import json
from pathlib import Path

import pytest

from bench.cli import explain_command
from bench.core.clock import NS_PER_S
from bench.explain.explanation import explain
from bench.judge.judge import judge
from bench.report import explanation
from bench.report.html import run_page
from bench.report.render import text
from bench.results import layout
from bench.results.logs import FORK, LEFT_OUT, ActivityRecord, Encoder, Tag, Window, line_of
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, S, SyntheticRun, counts_of

STALLS = (3, 11, 17, 30)
WINDOWS = 40
STALL_MS = 80


def stalled(out: Path, sla: str = "cache.response.p99 < 10ms") -> Path:
    """Forty windows of 250 ms; in four of them Redis forked, and a fifth of the arrivals took 80 ms."""
    folder = SyntheticRun(sla=[sla], interrupted=True).write(out)
    with (folder / layout.WINDOWS).open("a", encoding="ascii") as log:
        for kind in ("response", "net", "service", "service_net"):
            for window in range(WINDOWS):
                slow = 50 if window in STALLS else 0
                counts = counts_of((2 * MS, 250 - slow), (STALL_MS * MS, slow))
                start = S + window * S // 4
                tag = Tag("cache", "get", kind, "ok")
                log.write(line_of(Window(tag, start, start + S // 4, counts), Encoder()))
    records = [
        ActivityRecord(
            at_ns=S + (window + 1) * S // 4 - MS,
            since_ns=S + window * S // 4 + MS,
            target="redis",
            kind=FORK,
            text="fork",
            took_ns=STALL_MS * MS,
        )
        for window in STALLS
    ]
    records.append(
        ActivityRecord(at_ns=S, since_ns=S, target="redis", kind=LEFT_OUT, text="SLOWLOG: NOPERM\x1b[2J")
    )
    lines = [json.dumps(record.to_json()) + "\n" for record in records]
    (folder / layout.ACTIVITY).write_text("".join(lines), encoding="utf-8")
    return folder


def test_the_explanation_of_a_run_fits_a_terminal_and_says_all(tmp_path: Path, capsys) -> None:
    explain_command.command.main([str(stalled(tmp_path))], standalone_mode=False)
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    assert said.splitlines()[0] == "redis_latency: fork for a snapshot, 100 % of the tail"
    words = " ".join(said.split())
    assert "200 of 10 000 arrivals (2 %) took longer than 10 ms of cache" in words
    assert "100 % because redis forked, for a snapshot" in words
    assert "seen 4 times, the longest 80 ms" in words
    assert "-> let a replica make snapshots" in words
    assert "redis: SLOWLOG: NOPERM\\x1b[2J" in words


def test_the_explanation_for_programs_has_shares_chances_and_advice(tmp_path: Path, capsys) -> None:
    explain_command.command.main([str(stalled(tmp_path)), "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert list(found) == [
        *("format", "run", "scenario", "limits", "arrivals", "beyond", "windows", "window_ns", "has_tail"),
        *("causes", "possible", "unexplained", "left_out", "text"),
    ]
    assert found["limits"] == [
        {"workload": "cache", "limit_ns": 10 * MS, "source": "cache.response.p99 < 10ms"}
    ]
    (cause,) = found["causes"]
    assert (cause["kind"], cause["subject"], cause["share"], cause["times"]) == ("snapshot", "redis", 1.0, 4)
    assert cause["p"] == pytest.approx(1 / WINDOWS, abs=1e-4)
    assert (found["unexplained"], found["window_ns"]) == (0.0, NS_PER_S // 4)


def test_a_broken_rule_is_advised_by_the_first_cause(tmp_path: Path) -> None:
    checks = judge(Run.load(stalled(tmp_path, "cache.response.p99.9 < 10ms"))).checks
    advice = next(check.advice for check in checks if check.is_rule)
    assert advice is not None
    assert advice.startswith("100 % of the slow arrivals, because redis forked")
    assert "let a replica make snapshots" in advice


def test_the_page_has_the_explanation_where_there_is_a_tail_and_nothing_of_it_where_there_is_none(
    tmp_path: Path,
) -> None:
    run = Run.load(stalled(tmp_path / "slow"))
    assert explanation.TITLE in run_page.render(run, judge(run))
    quick = Run.load(stalled(tmp_path / "quick", "cache.response.p99 < 100ms"))
    assert explanation.TITLE not in run_page.render(quick, judge(quick))
    assert "no tail that needs an explanation" in text.render(explanation.sections(explain(quick)))


def test_a_run_without_rules_is_looked_at_beyond_its_own_percentile(tmp_path: Path) -> None:
    found = explain(Run.load(stalled(tmp_path, "cache.throughput >= 1/s")))
    (limit,) = found.limits
    assert limit.source in ("its P99", "4 times its median", "twice the floor of this machine")


def test_an_older_run_is_explained_by_what_it_has(tmp_path: Path) -> None:
    folder = stalled(tmp_path)
    (folder / layout.ACTIVITY).unlink()
    found = explain(Run.load(folder))
    assert (found.has_tail, found.causes, found.unexplained) == (True, (), 1.0)
