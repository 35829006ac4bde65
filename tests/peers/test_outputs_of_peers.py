"""What the tools print, read against texts that they printed."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.peers import redis_benchmark, tool_report
from bench.peers.contestant import TurnFailed
from bench.peers.key_space import misses_of

# Printed by redis-benchmark 7.0.15 --csv.
CSV = (
    '"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms",'
    '"max_latency_ms"\n'
    '"GET","98570.72","0.278","0.056","0.255","0.447","0.687","4.127"\n'
)
# The form of its versions before 6.2: no latencies.
OLD_CSV = '"GET","98570.72"\n'

INFO_STATS = "# Stats\r\ntotal_connections_received:3\r\nkeyspace_hits:200000\r\nkeyspace_misses:17\r\n"


def test_the_line_for_get_is_read_with_its_units() -> None:
    result = redis_benchmark.result_of(CSV, 200_000, 2.0)
    assert result.requests == 200_000
    assert result.throughput_per_s == pytest.approx(98570.72)
    assert (result.mean_ns, result.p50_ns, result.p99_ns) == pytest.approx((278_000, 255_000, 687_000))
    assert result.little(50) == pytest.approx(98570.72 * 0.278e-3 / 50)


def test_warnings_around_the_table_do_no_harm() -> None:
    noisy = f"WARNING: Could not fetch server CONFIG\n{CSV}\n\n"
    assert redis_benchmark.result_of(noisy, 1, 2.0).throughput_per_s == pytest.approx(98570.72)


@pytest.mark.parametrize(
    "output",
    [
        "",
        OLD_CSV,
        CSV.replace('"GET"', '"SET"'),
        CSV.replace("0.278", "nan"),
        CSV.replace("98570.72", "0.00"),
        CSV.replace("0.278", "much"),
        CSV[: CSV.index("0.447")],
    ],
)
def test_what_is_not_that_table_fails_the_turn(output: str) -> None:
    with pytest.raises(TurnFailed, match="expected"):
        redis_benchmark.result_of(output, 200_000, 2.0)


@given(st.text())
def test_no_output_of_a_tool_does_more_than_fail_the_turn(text: str) -> None:
    for read in (lambda: redis_benchmark.result_of(text, 1, 1.0), lambda: tool_report.result_of(text)):
        with contextlib.suppress(TurnFailed):
            read()


REPORT = {"requests": 38_000, "seconds": 3.01, "mean_ns": 2.4e6, "p50_ns": 2e6, "p99_ns": 7e6, "cpu_s": 3.0}


def test_a_report_of_our_own_processes_is_read() -> None:
    result = tool_report.result_of(json.dumps(REPORT) + "\n")
    assert (result.requests, result.seconds, result.p99_ns) == (38_000, 3.01, 7e6)


def test_a_percentile_that_a_tool_rounded_to_nothing_is_kept_as_it_reports_it() -> None:
    assert tool_report.result_of(json.dumps({**REPORT, "p50_ns": 0.0})).p50_ns == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        json.dumps({**REPORT, "requests": 0}),
        json.dumps({**REPORT, "mean_ns": "much"}),
        json.dumps({**REPORT, "seconds": True}),
        json.dumps({**REPORT, "mean_ns": 0}),
        json.dumps({**REPORT, "p99_ns": -1}),
        json.dumps({**REPORT, "p50_ns": float("nan")}),
        json.dumps({**REPORT, "more": 1}),
        json.dumps({name: value for name, value in REPORT.items() if name != "p99_ns"}),
    ],
)
def test_any_other_report_fails_the_turn(text: str) -> None:
    with pytest.raises(TurnFailed, match="expected"):
        tool_report.result_of(text)


def test_the_servers_count_of_missing_keys_is_read() -> None:
    assert misses_of(INFO_STATS) == 17
    with pytest.raises(ValueError, match="keyspace_misses"):
        misses_of("# Stats\r\n")
