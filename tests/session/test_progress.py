"""What a person sees while a run goes on."""

from __future__ import annotations

import io

from bench.progress import Look, Plain, Terminal, line_of, progress_for


def look(now_s: float = 3.0, **changes: object) -> Look:
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
    return Look(**(facts | changes))  # type: ignore[arg-type]


def test_the_line_shows_rate_percentile_errors_lanes_and_time_left() -> None:
    assert (
        line_of(look()) == "steady          1 200/s  P95   123 µs  errors  2.78 %     50 lanes    30 s left"
    )


def test_the_line_fits_80_columns_whatever_the_figures() -> None:
    wide = look(phase="a" * 60, rate_per_s=123_456_789.0, ended=10**12, ok=0, connected=10_000, p95_ns=None)
    assert len(line_of(wide)) < 80


def test_before_anything_ended_there_is_no_percentile_and_no_error() -> None:
    line = line_of(look(ok=0, ended=0, p95_ns=None))
    assert "P95        -" in line
    assert "errors  0.00 %" in line


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
