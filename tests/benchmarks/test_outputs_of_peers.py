"""What the tools print, read against texts that they printed."""

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.peers import hey, nginx, pgbench, redis_benchmark, tool_report, wrk
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.key_space import misses_of

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
    readers: tuple[Callable[[], object], ...] = (
        lambda: redis_benchmark.result_of(text, 1, 1.0),
        lambda: tool_report.result_of(text),
        lambda: pgbench.result_of(text, 1.0),
        lambda: wrk.result_of(text, 1.0),
        lambda: wrk.result_of(f"holdfast {text}", 1.0),
        lambda: hey.result_of(text, 1.0),
        lambda: nginx.count_in(text),
    )
    for read in readers:
        with contextlib.suppress(TurnFailed):
            read()


# Printed by pgbench 18.
PGBENCH = """pgbench (18.4)
transaction type: <builtin: select only>
scaling factor: 1
query mode: prepared
number of clients: 8
number of threads: 1
maximum number of tries: 1
duration: 2 s
number of transactions actually processed: 107265
number of failed transactions: 0 (0.000%)
latency average = 0.149 ms
initial connection time = 24.513 ms
tps = 54276.103927 (without initial connection time)
"""


def test_pgbenchs_average_is_taken_and_not_called_a_measurement() -> None:
    result = pgbench.result_of(PGBENCH, 1.0)
    assert result.requests == 107_265
    assert result.throughput_per_s == pytest.approx(54276.103927)
    assert (result.mean_ns, result.p50_ns, result.p99_ns) == (149_000, None, None)
    assert result.little(8) is None


@pytest.mark.parametrize(
    "output",
    [
        PGBENCH.replace("transactions: 0 (", "transactions: 3 ("),
        PGBENCH.replace("processed: 107265", "processed: 0"),
        PGBENCH.replace("tps = 54276.103927", "tps = 0.000000"),
        PGBENCH[: PGBENCH.index("tps")],
    ],
)
def test_a_pgbench_that_failed_or_did_nothing_fails_the_turn(output: str) -> None:
    with pytest.raises(TurnFailed, match=r"expected|failed"):
        pgbench.result_of(output, 1.0)


WRK = "Running 2s test @ http://127.0.0.1:1/\n  1 threads\nholdfast 216123 2001234 0 438.125 431 2724\n"


def test_wrks_line_is_read_with_its_units() -> None:
    result = wrk.result_of(WRK, 1.0)
    assert (result.requests, result.seconds) == (216_123, 2.001234)
    assert (result.mean_ns, result.p50_ns, result.p99_ns) == pytest.approx((438_125, 431_000, 2_724_000))


@pytest.mark.parametrize(
    "output", ["", WRK.replace(" 0 438", " 7 438"), WRK.replace("2724", ""), WRK.replace("216123", "0")]
)
def test_a_wrk_with_errors_or_without_its_line_fails_the_turn(output: str) -> None:
    with pytest.raises(TurnFailed, match=r"expected|7 of 216123"):
        wrk.result_of(output, 1.0)


# Printed by hey 0.1.4, shortened.
HEY = """
Summary:
  Total:	2.0009 secs
  Slowest:	0.0301 secs
  Fastest:	0.0001 secs
  Average:	0.0012 secs
  Requests/sec:	40323.1234

Latency distribution:
  10% in 0.0003 secs
  50% in 0.0010 secs
  99% in 0.0054 secs

Status code distribution:
  [200]	80683 responses
"""


def test_heys_summary_is_read_with_its_units() -> None:
    result = hey.result_of(HEY, 1.0)
    assert (result.requests, result.seconds) == (80_683, 2.0009)
    assert (result.mean_ns, result.p50_ns, result.p99_ns) == pytest.approx((1_200_000, 1_000_000, 5_400_000))


@pytest.mark.parametrize(
    "output",
    [
        HEY.replace("[200]", "[503]"),
        HEY + "\nError distribution:\n  [3]\tGet http://127.0.0.1:1/: EOF\n",
        HEY[: HEY.index("Status")],
    ],
)
def test_a_hey_that_saw_anything_but_200_fails_the_turn(output: str) -> None:
    with pytest.raises(TurnFailed, match="expected"):
        hey.result_of(output, 1.0)


def test_nginxs_count_of_requests_is_the_third_number() -> None:
    text = "Active connections: 51 \nserver accepts handled requests\n 60 60 1234 \nReading: 0 Writing: 1\n"
    assert nginx.count_in(text) == 1234


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
