"""The JUnit report: as it was approved, and in the form that CI systems read."""

import os
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.judge import judge
from bench.judge.verdict import Check, Status, Verdict
from bench.report import junit
from bench.report.index.entries import UNREADABLE, broken, entry_with
from bench.results.reader import Run
from tests.report.test_reports import RUNS

Same = TypeVar("Same", Check, Verdict)

GOLDEN = Path(__file__).parent / "golden"

ALLOWED = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name", "value"}),
    "testcase": ({"properties", "skipped", "failure", "error", "system-out"}, {"name", "classname", "time"}),
    "skipped": (set(), {"message"}),
    "failure": (set(), {"type", "message"}),
    "error": (set(), {"type", "message"}),
    "system-out": (set(), set()),
}
"""Element -> its children and attributes: what the schema of Jenkins' xUnit plugin allows, and the
properties of a test, which pytest writes too."""


def entry_of(name: str, tmp_path: Path):
    run = Run.load(RUNS[name].write(tmp_path / name))
    return entry_with(run, judge(run))


def expect_of_the_schema(element: ET.Element) -> None:
    children, attributes = ALLOWED[element.tag]
    assert {child.tag for child in element} <= children, element.tag
    assert set(element.attrib) <= attributes, element.tag
    for child in element:
        expect_of_the_schema(child)


def changed(record: Same, **fields: object) -> Same:
    """A verdict or a check with other values."""
    return record.model_copy(update=fields)


def test_class_and_name_are_unique_over_all_runs_and_the_newest_keeps_its_history(tmp_path):
    older = entry_of("passing", tmp_path / "a")
    newer = replace(older, run=f"{older.run}x", started_utc="2099-01-01T00:00:00Z")
    unread = broken(tmp_path / older.run, UNREADABLE, "nothing in it")
    report = ET.fromstring(junit.render([older, newer, older, unread]))
    suites = report.findall("testsuite")
    keys = [
        [(case.get("classname"), case.get("name")) for case in suite.iter("testcase")] for suite in suites
    ]
    assert {name for name, _ in keys[1]} == {f"holdfast.{older.scenario}"}
    assert {name for name, _ in keys[0]} == {f"holdfast.{older.scenario}.{older.run}"}
    once = [key for suite in (keys[0], keys[1], keys[3]) for key in suite]
    assert len(set(once)) == len(once)


@pytest.mark.parametrize("name", ["passing", "failing", "interrupted"])
def test_the_junit_report_is_as_it_was_approved(tmp_path, name):
    report = junit.render([entry_of(name, tmp_path)])
    file = GOLDEN / f"{name}.junit.xml"
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        file.write_text(report)
    assert report == file.read_text()
    expect_of_the_schema(ET.fromstring(report))


def test_a_suite_counts_its_tests_and_the_document_all_suites(tmp_path):
    entries = [entry_of(name, tmp_path) for name in RUNS]
    root = ET.fromstring(junit.render(entries))
    expect_of_the_schema(root)
    for suite in root:
        assert int(suite.get("tests")) == len(suite.findall("testcase"))
        assert int(suite.get("failures")) == len(suite.findall("testcase/failure"))
        assert int(suite.get("errors")) == len(suite.findall("testcase/error"))
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
    for name in ("tests", "failures", "errors"):
        assert int(root.get(name)) == sum(int(suite.get(name)) for suite in root)


@pytest.mark.parametrize(
    ("status", "element"),
    [
        (Status.PASS, None),
        (Status.WARN, "system-out"),
        (Status.INCONCLUSIVE, "error"),
        (Status.FAIL, "failure"),
        (Status.INVALID, "error"),
    ],
)
def test_a_status_is_what_ci_systems_call_it(tmp_path, status, element):
    entry = entry_of("passing", tmp_path)
    checks = (changed(entry.verdict.checks[0], status=status, because="so it is", advice="do it"),)
    entry = replace(entry, verdict=changed(entry.verdict, checks=checks))
    (case,) = ET.fromstring(junit.render([entry])).iter("testcase")
    assert [child.tag for child in case] == ["properties", *([element] if element else [])]
    if element:
        assert "so it is\ndo it" in case[1].text


def test_no_rule_of_an_invalid_run_is_green_or_broken(tmp_path):
    entry = entry_of("failing", tmp_path)
    assert {Status.PASS, Status.FAIL} <= {check.status for check in entry.verdict.checks}
    finding = changed(
        entry.verdict.checks[0],
        rule="the run is sound",
        metric="validity.generator_late",
        status=Status.INVALID,
    )
    verdict = changed(entry.verdict, checks=(finding, *entry.verdict.checks))
    assert (verdict.status, finding.is_rule) == (Status.INVALID, False)
    first, *rules = ET.fromstring(junit.render([replace(entry, verdict=verdict)])).iter("testcase")
    assert first.find("error") is not None
    for case in rules:
        assert case.find("failure") is None
        assert case.find("skipped") is not None or case.find("error") is not None


def test_the_numbers_of_a_rule_are_properties_in_base_units(tmp_path):
    entry = entry_of("passing", tmp_path)
    cases = {
        case.get("name"): {one.get("name"): one.get("value") for one in case.iter("property")}
        for case in ET.fromstring(junit.render([entry])).iter("testcase")
    }
    p95 = cases["cache.response.p95 < 10ms warn 8ms"]
    assert (p95["unit"], p95["limit"], p95["warn"], p95["status"]) == ("ns", "10000000", "8000000", "PASS")
    throughput = next(case for case in cases.values() if case["metric"] == "cache.throughput")
    assert (float(throughput["observed"]), throughput["unit"]) == (1210.0, "per_s")


def test_two_tests_of_one_rule_have_names_of_their_own(tmp_path):
    entry = entry_of("passing", tmp_path)
    first = entry.verdict.checks[0]
    entry = replace(entry, verdict=changed(entry.verdict, checks=(first, changed(first, limit=5e6), first)))
    root = ET.fromstring(junit.render([entry]))
    cases = [one.get("name") for one in root.iter("testcase")]
    assert len(cases) == len(set(cases))


@given(st.text())
def test_any_text_makes_a_document_that_can_be_read(value):
    entry = broken(Path("results/20260202t024000z-redis_latency-0a1b2c"), UNREADABLE, value)
    root = ET.fromstring(junit.render([entry]).encode())
    expect_of_the_schema(root)
    assert root.find("testsuite/testcase/error").get("type") == UNREADABLE
