"""What is said about each run of a folder, from its small files alone."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.report import data, junit, markdown
from bench.report.figures import latencies
from bench.report.formats import Reader, RunFolder
from bench.report.index.entries import (
    COMPLETE,
    INTERRUPTED,
    UNDER_WAY,
    UNREADABLE,
    entries_in,
    entry_of,
    is_folder_of_runs,
)
from bench.report.index.page import render
from bench.results.reader import Run
from bench.results.writer import RunWriter
from bench.scenario.rules.grammar import parse_rule
from tests.helpers.fault_run import FaultRun, recovery
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import S, SyntheticRun, counts_of
from tests.report.index.index_runs import put, put_everything


def test_every_run_is_listed_newest_first_with_what_is_wrong_with_it(tmp_path):
    put_everything(tmp_path)
    entries = entries_in(tmp_path)
    assert [entry.utc for entry in entries] == sorted((entry.utc for entry in entries), reverse=True)
    found = {entry.run[6:8]: entry for entry in entries}
    assert len(found) == 12
    assert found["01"].status is Status.PASS
    assert found["02"].status is Status.FAIL
    assert found["01"].problem is None
    assert found["05"].state == COMPLETE
    assert found["05"].problem.startswith("not judged yet")
    assert found["06"].state == UNREADABLE
    assert "scenario: expected an object, found nothing" in found["06"].problem
    assert "expected format 1 or older, found 9" in found["07"].problem
    assert "verdict.json: this verdict cannot be read" in found["08"].problem
    assert found["08"].workloads
    assert "windows.hlog: expected the file, found none" in found["09"].problem
    assert (found["09"].state, found["09"].status) == (UNREADABLE, None)
    assert found["10"].state == INTERRUPTED
    assert found["11"].state == INTERRUPTED
    assert "its harness was killed" in found["11"].problem
    assert "expected run.json in it" in found["12"].problem


def test_a_run_that_goes_on_is_listed_as_such_and_not_touched(tmp_path):
    with RunWriter(tmp_path, "20260301t000000z-redis_latency-00000d") as writer:
        before = sorted(path.name for path in writer.folder.iterdir())
        (entry,) = entries_in(tmp_path)
        assert (entry.state, entry.scenario) == (UNDER_WAY, "redis_latency")
        assert sorted(path.name for path in writer.folder.iterdir()) == before


def test_the_figures_are_those_of_the_full_report(tmp_path):
    path = put(tmp_path, 1)
    (workload,) = entry_of(path).workloads
    run = Run.load(path)
    whole = next(one for one in latencies(run) if one.kind == "response" and one.operation is None)
    assert [workload.p50_ns, workload.p95_ns, workload.p99_ns] == [
        whole.percentiles_ns[percent] for percent in (50, 95, 99)
    ]
    assert workload.errors == 0


def test_throughput_counts_what_was_done_in_the_measured_time(tmp_path):
    record = {"phases": [{"name": "steady", "measured": True, "start_ns": S, "end_ns": 2 * S}]}
    with RunWriter(tmp_path, "20260301t000000z-redis_latency-00000d") as writer:
        samples = {"cache/get/response/ok": [(1000, 30)]}
        full = {**SyntheticRun(samples=samples).full_record(), **record, "measured_ns": S}
        writer.outline(record_of(full))
        writer.histogram("unmeasured:cache/get/response/ok", 0, S, counts_of((1000, 5)))
        writer.histogram("unmeasured:cache/get/response/ok", S, 2 * S, counts_of((1000, 2)))
        writer.histogram("cache/get/response/ok", S, 2 * S, counts_of((1000, 20)))
        writer.histogram("cache/get/response/timeout", S, 2 * S, counts_of((S, 1)))
        writer.histogram("cache/get/response/ok", 2 * S, 3 * S, counts_of((1000, 10)))
        path = writer.finish(record_of(full))
    run = Run.load(path)
    judged = judge(run, [parse_rule("cache.throughput >= 1/s")]).checks[-1].observed
    assert entry_of(path).workloads[0].done_per_s == judged == 22


def test_a_run_of_an_older_version_has_the_percentiles_that_its_rules_asked_for(tmp_path):
    path = put(tmp_path, 1)
    record = path / "run.json"
    record.write_text(record.read_text().replace('"response": [', '"responses_of_a_test": ['))
    (workload,) = entry_of(path).workloads
    assert workload.p50_ns is None
    assert workload.p95_ns == 400_127


def test_the_recovery_of_a_run_is_that_of_its_slowest_fault(tmp_path):
    fine = FaultRun(recoveries=[recovery(0, 2, 0.3, 0.5), recovery(1, 3, 0.2, 0.9)]).write(tmp_path / "a")
    gone = FaultRun(recoveries=[recovery(0, 2, 0.3, 0.5), recovery(1, 3, None)]).write(tmp_path / "b")
    assert entry_of(fine).workloads[0].recovery.shown == "900 ms"
    assert entry_of(gone).workloads[0].recovery.shown == "never"


def test_a_folder_without_runs_and_no_folder_are_refused_with_what_to_do(tmp_path):
    with pytest.raises(ResultError, match="expected runs in it, found none; bench run puts them there"):
        entries_in(tmp_path)
    with pytest.raises(ResultError, match="expected a folder of runs, found nothing there"):
        entries_in(tmp_path / "absent")


def test_a_run_is_no_folder_of_runs_even_when_its_record_is_gone(tmp_path):
    path = put(tmp_path, 1)
    (path / "run.json").unlink()
    assert not is_folder_of_runs(path)
    assert is_folder_of_runs(tmp_path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=60)
@given(
    section=st.sampled_from(
        [
            "response",
            "started",
            "plan",
            "environment",
            "stack",
            "faults",
            "recoveries",
            "workers",
            "duration_ns",
        ]
    ),
    value=JUNK,
)
def test_whatever_stands_in_a_record_the_page_is_made(tmp_path_factory, section, value):
    out = tmp_path_factory.mktemp("results")
    path = put(out, 1)
    record = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**record, section: value}))
    entries = entries_in(out)
    folder, reader = RunFolder("results", entries), Reader(out)
    assert render(folder, reader)
    assert json.loads(data.render_folder_json(folder, reader))
    assert markdown.render_folder(folder, reader)
    assert junit.render_folder(folder, reader)
