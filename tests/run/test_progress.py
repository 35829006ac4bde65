"""What a person sees while a run goes on."""

from __future__ import annotations

import io

import pytest

from bench.run.progress import Pace, Plain, ProgressSnapshot, Terminal, line_of, progress_for


def look(now_s: float = 3.0, **changes: object) -> ProgressSnapshot:
    facts = {
        "now_ns": int(now_s * 1e9),
        "total_ns": 33_000_000_000,
        "phase": "steady",
        "rate_per_s": 1200.0,
        "ok": 3500,
        "ended": 3600,
        "p95_ns": 123_000,
        "connected": 50,
    }
    return ProgressSnapshot(**(facts | changes))  # type: ignore[arg-type]


def test_the_line_shows_phase_bar_rate_percentile_errors_and_time_left() -> None:
    expected = "steady           #---------    1 200/s  P95  123 µs  errors  2.78 %   30 s left"
    assert line_of(look()) == expected


def test_a_wide_terminal_shows_lanes_and_whole_names_of_faults() -> None:
    line = line_of(look(under_way="latency redis, kill postgres"), 120)
    assert line.startswith("latency redis, kill postgres  #")
    assert "   50 lanes  " in line


@pytest.mark.parametrize("width", [60, 79, 100, 200])
def test_the_line_fits_whatever_the_figures_and_nothing_in_it_is_cut(width: int) -> None:
    wide = look(phase="a" * 60, rate_per_s=123_456_789.0, ended=10**12, ok=0, connected=10_000, p95_ns=None)
    for now_s in (0.0, 3.0, 40.0):
        line = line_of(look(now_s, under_way="b" * 50), width)
        assert len(line) <= width
        assert line.endswith(" s left")
    assert len(line_of(wide, width)) <= width
    assert line_of(wide, width).endswith(" s left")


def test_before_anything_ended_there_is_no_percentile_and_no_error() -> None:
    line = line_of(look(ok=0, ended=0, p95_ns=None))
    assert "P95       -" in line
    assert "errors     0 %" in line


def test_hours_are_not_counted_in_seconds() -> None:
    assert line_of(look(0.0, total_ns=3 * 3600 * 10**9)).endswith("3 h left")


def test_elsewhere_than_on_a_terminal_lines_come_seconds_apart_and_plain() -> None:
    stream = io.StringIO()
    progress = progress_for(stream)
    assert isinstance(progress, Plain)
    for tenth in range(120):
        progress.look(look(tenth / 10))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_the_line_is_written_over_and_taken_away_at_the_end() -> None:
    stream = io.StringIO()
    progress = Terminal(stream)
    progress.look(look())
    progress.look(look(4.0))
    progress.close()
    assert stream.getvalue().count("\n") == 0
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_rate_is_that_of_half_a_second_at_least_and_unknown_before() -> None:
    pace = Pace()
    assert pace.after(3_000_000, 1000) is None  # not 300 000 a second
    assert pace.after(499_000_000, 1400) is None
    assert pace.after(500_000_000, 1500) == pytest.approx(3000)
    assert pace.after(520_000_000, 1700) == pytest.approx(3000)  # 20 ms say nothing new
    assert pace.after(1_000_000_000, 2000) == pytest.approx(1000)


def test_before_there_is_a_rate_the_line_has_none_and_a_log_waits_for_it() -> None:
    assert "-  P95" in line_of(look(rate_per_s=None))
    stream = io.StringIO()
    progress = Plain(stream)
    progress.look(look(0.01, rate_per_s=None))
    assert stream.getvalue() == ""
    progress.look(look(0.5))
    assert "1 200/s" in stream.getvalue()


def test_a_step_that_is_longer_than_a_terminal_is_broken_between_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = io.StringIO()
    said = (
        "this machine is busy with other work: others use 1.7 of its 2 cores, and the generator waited for it"
    )
    Terminal(stream).step(said)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert " ".join(lines) == said
    assert max(map(len, lines)) < 80
