"""The table and the record, against a golden file and by their promises."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.peers import record, table
from tests.benchmarks.peers.comparison import Comparison
from tests.benchmarks.peers.contestant import Result
from tests.benchmarks.peers.redis_get import CRITERIA
from tests.benchmarks.peers.rounds import Round
from tests.benchmarks.peers.verdict import Finding, findings_of

GOLDEN = Path(__file__).parent / "golden"
MACHINE = "2 cores of a plain machine, load average 0.1 at the start"


def example() -> tuple[Comparison, list[Finding]]:
    comparison = Comparison("redis_get", "Redis GET, 50 connections, closed loop", 50, 2, 3.0, 1)
    comparison.tools = {"ours": "0.1.0", "redis-benchmark": "redis-benchmark 7.0.15", "redis-py uvloop": "6"}
    comparison.absent = {"Locust user": "not installed: locust is missing"}
    comparison.is_complete = True
    for number, slower in enumerate((1.0, 1.1)):
        results = {
            "ours": Result(int(660_000 / slower), 3.0, 227_000 * slower, 220_000, 410_000, 2.7),
            "redis-benchmark": Result(int(396_000 / slower), 3.0, 200_000, 190_000, 12_345_678, 2.97),
            "redis-py uvloop": Result(81_000, 3.0, 1_850_000, 1_700_000, 123_456_789, 3.0),
        }
        order = tuple(results)
        comparison.rounds.append(Round(number + 1, order[number:] + order[:number], results, 0.04 + number))
    return comparison, findings_of(CRITERIA, comparison.summaries(), comparison.absent)


def compare_with_golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN") == "1":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_the_table_is_as_recorded_and_fits_a_terminal() -> None:
    comparison, findings = example()
    text = table.text_of(comparison, findings, MACHINE)
    assert max(map(len, text.splitlines())) <= 80
    compare_with_golden("comparison.txt", text)


def test_the_markdown_is_as_recorded() -> None:
    comparison, findings = example()
    compare_with_golden("comparison.md", table.markdown_of(comparison, findings, MACHINE))


def test_what_a_tool_does_not_tell_stays_empty() -> None:
    comparison, findings = example()
    for number, found in enumerate(comparison.rounds):
        comparison.rounds[number].results["redis-benchmark"] = replace(
            found.results["redis-benchmark"], p50_ns=None, p99_ns=None, is_mean_measured=False
        )
    text = table.text_of(comparison, findings, MACHINE)
    (line,) = [line for line in text.splitlines() if line.startswith("redis-benchmark  ")]
    assert line.split() == ["redis-benchmark", "126000", "120000", "132000", "0.200", "0.99", "1.67", "x"]


def test_an_interrupted_comparison_does_not_show_a_verdict() -> None:
    comparison, _ = example()
    comparison.is_complete = False
    comparison.planned_rounds = 5
    findings = findings_of(CRITERIA, comparison.summaries(), comparison.absent)
    text = table.text_of(comparison, findings, MACHINE)
    assert "INTERRUPTED" in text
    assert "(5 were planned)" in text


def test_the_record_keeps_every_round_with_its_order(tmp_path: Path) -> None:
    comparison, findings = example()
    environment = {"key": {"cores": 2, "cpu": "a plain machine"}, "facts": {"load_average": [0.1]}}
    kept = record.record_of(comparison, findings, {"task": {}}, environment, datetime.now(UTC))
    record.write(tmp_path, kept, comparison, findings, record.machine_of(environment))
    read = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert read["verdict"] == "INCONCLUSIVE"
    assert [one["order"][0] for one in read["rounds"]] == ["ours", "redis-benchmark"]
    assert read["rounds"][1]["results"]["ours"]["requests"] == 600_000
    assert read["environment"] == environment
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparison.json",
        "comparison.md",
        "comparison.txt",
    ]
