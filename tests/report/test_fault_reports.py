"""Reports of runs with faults, compared with golden files (HOLDFAST_UPDATE_GOLDEN=1 writes them anew)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench as product
from bench.cli.main import run as bench
from bench.core import histogram
from bench.core.errors import ResultError
from bench.judge.judge import judge
from bench.report import data, text
from bench.report.faults.detection import TimeLine, drawn
from bench.report.faults.recovery import counts_of, fault_phases, spans_of
from bench.results import layout
from bench.results.fault_records import RecoveryRecord
from bench.results.reader import Run
from tests.helpers.fault_run import FaultRun, detection, fault, integrity, recovery, unaffected, unclean
from tests.helpers.synthetic_run import MS, S

GOLDEN = Path(__file__).parent / "golden"

KILLS = FaultRun(
    sla=[
        "recovery.stable < 10s warn 8s",
        "recovery.full < 10s",
        "detection.probe < 6s",
        "lost_writes == 0",
        "false_alarms == 0",
        "availability(window=30d, incidents=4) >= 99.9%",
    ],
    recoveries=[
        recovery(n, 2 + n, first_s, first_s + 0.02, first_s + 0.3)
        for n, first_s in enumerate([0.31, 0.29, 0.5, 0.3, 0.33])
    ],
    detections=[
        detection(n, detector, 2 + n + after_s)
        for n in range(5)
        for detector, after_s in (("client_errors", 0.003), ("probe", 0.2), ("engine_event", 0.0015))
    ],
    record={"integrity": [integrity(0)], "breaker_open_ns": 0},
    operations=[("ok", at, at + 0.4) for at in range(1000, 2000)]
    + [("refused", at, at + 100) for at in range(2001, 2200)]
    + [("ok", at, 2310 + (at - 2200) / 100) for at in range(2200, 2311)]
    + [("ok", at, at + 0.9) for at in range(2311, 2620)]
    + [("ok", at, at + 0.4) for at in range(2620, 3000)],
)

UNFORTUNATE = FaultRun(
    sla=["recovery.stable < 10s", "recovery.first < 200ms", "detection.breaker < 6s", "lost_writes == 0"],
    faults=[
        fault(0, 2),
        fault(1, 3, "latency"),
        fault(2, 4, "exhaust_connections", "postgres"),
        fault(3, 5, took_effect=False, proof="the old pid answers"),
        fault(4, 8, healed=None),
    ],
    recoveries=[
        recovery(0, 2, 0.3)
        | {"state": "cut_short", "stable_ns": None, "full_ns": None, "quiet_since_ns": 3 * S},
        unaffected(0, 2, workload="orders"),
        unaffected(1, 3, slow_from_ns=3 * S + MS, full_ns=4 * S, brown_out_ns=20 * S),
        unaffected(1, 3, workload="orders"),
        unaffected(2, 4, state="unseen"),
        recovery(2, 4, 0.1, 1.2, workload="orders") | {"full_ns": None, "full_cut_short": True},
        recovery(4, 8, None, reconnects={"count": 0, "p50_ns": None, "max_ns": None}),
        recovery(4, 8, 2.5, workload="orders") | {"full_ns": None},
    ],
    detections=[
        detection(0, "probe", 2.2),
        detection(0, "breaker", None),
        detection(1, "probe", None),
        detection(4, "probe", 8.2),
        detection(4, "breaker", 8.9),
    ],
    record={
        "false_alarms": [{"detector": "probe", "at_ns": 7 * S, "detail": ""}],
        "integrity": [
            integrity(12, bound="12 of 5000 lost: 0.24 %"),
            integrity(None, check="registers", acknowledged=None, found=None, unexpected=None, bound=None),
        ],
    },
)

RUNS = {"kills": KILLS, "unfortunate": UNFORTUNATE}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Loads a run by a relative path, so that a golden file names no machine."""
    monkeypatch.chdir(tmp_path)
    return lambda name: Run.load(RUNS[name].write(Path("results")))


def is_golden(name: str, found: str) -> bool:
    file = GOLDEN / name
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        file.write_text(found)
    return found == file.read_text()


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize(("ending", "unicode"), [("txt", True), ("ascii.txt", False)])
def test_the_report_of_faults_is_as_it_was_approved(loaded, name, ending, unicode):
    run = loaded(name)
    report = text.render(run, judge(run), unicode=unicode)
    assert is_golden(f"{name}.{ending}", report)
    for line in report.splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()


def test_the_json_report_passes_the_faults_on(loaded):
    run = loaded("kills")
    report = json.loads(data.render_json(run, judge(run)))
    assert report["recoveries"] == run.record.to_json()["recoveries"]
    assert len(report["faults"]) == 5
    assert report["integrity"][0]["bound"].startswith("0 of 5000 lost")


def test_a_report_on_a_terminal_that_knows_no_unicode_is_drawn_in_ascii(loaded, capsys, monkeypatch):
    run = loaded("kills")
    assert bench(["report", str(run.path)]) == 0
    assert "━━━" in capsys.readouterr().out
    monkeypatch.setattr("bench.report.render.text.is_unicode", lambda: False)
    assert bench(["report", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert "━" not in shown
    assert "===" in shown


def test_of_many_faults_the_first_ten_have_lines_and_all_are_in_the_median(tmp_path):
    faults = [fault(n, 2 + n / 10) for n in range(12)]
    recoveries = [recovery(n, 2 + n / 10, 0.1 + n / 100) for n in range(12)]
    report = text.render(run := FaultRun(faults=faults, recoveries=recoveries).load(tmp_path), judge(run))
    assert "9 kill redis" in report
    assert "10 kill redis" not in report
    assert "and 2 more, in run.json" in report
    assert "12 x kill redis" in report


# --- timeline --------------------------------------------------------------------------------------------


def test_a_timeline_has_everything_on_one_scale():
    marks = {"fault": 0, "probe": 100 * MS, "first": 300 * MS, "stable": 400 * MS, "full": 600 * MS}
    lines = drawn([TimeLine("0 kill redis", marks, 0, S)], unicode=False)
    scale, row, _ = lines
    assert row.index("p") == scale.index("|100 ms")
    assert row.index("1") == scale.index("|300 ms")
    assert row.index("S") == scale.index("|400 ms")


def test_what_was_only_slow_is_drawn_thin():
    line = TimeLine("0", {"fault": 0, "full": S}, None, 2 * S, slow_from_ns=S // 2)
    row = drawn([line], unicode=False)[1]
    assert "=" not in row
    assert row.endswith("---F")
    assert row.count("-") < row.index("F") / 2 + 3


def test_marks_that_fall_together_stand_side_by_side_in_their_order():
    marks = {"fault": 0, "engine_event": 1, "client_errors": 2, "first": S, "stable": S, "full": S}
    row = drawn([TimeLine("0", marks, 0, S)])[1]
    assert row.split()[1].startswith("Xec━")
    assert row.endswith("━1SF")


def test_a_target_that_never_comes_back_is_down_to_the_end_of_the_line():
    lines = drawn([TimeLine("0", {"fault": 0}, 0, S), TimeLine("1", {"fault": 0, "first": S // 2}, 0, S)])
    assert lines[1].rstrip("━") == "0         X"
    assert len(lines[1]) > len(lines[2])


@given(
    st.lists(
        st.builds(
            TimeLine,
            st.text("abc 0", max_size=30),
            st.dictionaries(
                st.sampled_from(["probe", "breaker", "first", "stable", "full"]),
                st.integers(-(10**9), 10**13),
            ).map(lambda marks: {"fault": 0, **marks}),
            st.none() | st.integers(-(10**9), 10**12),
            st.integers(0, 10**13),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_any_timeline_fits_80_columns_and_begins_with_its_fault(lines, unicode):
    shown = drawn(lines, unicode)
    assert all(len(line) <= 80 for line in shown)
    for line, row in zip(lines, shown[1:], strict=False):
        assert row.startswith(line.label.rstrip() or "")
        assert "X" in row
    assert unicode or all(line.isascii() for line in shown if "µ" not in line)


# --- phases of faults ------------------------------------------------------------------------------------


def test_response_times_are_split_by_the_stamps(tmp_path):
    found = fault_phases(KILLS.load(tmp_path))["cache"]
    assert {phase: int(counts.sum()) for phase, counts in found.items()} == {
        "before": 1000,
        "fault": 310,
        "recovery": 300,
        "after": 389,
    }
    assert histogram.percentile_ns(found["before"], 99) < MS // 2
    assert histogram.percentile_ns(found["fault"], 50) >= S  # lost ones are charged their deadline
    assert histogram.percentile_ns(found["recovery"], 50) > histogram.percentile_ns(found["after"], 50)


def test_a_fault_without_effect_has_only_an_after():
    spans = spans_of([RecoveryRecord.read(unaffected(0, 2))])
    assert spans["fault"] == spans["recovery"] == [(2 * S + MS // 5,) * 2]
    assert spans["after"] == [(2 * S + MS // 5, 11 * S)]


def test_a_run_without_an_operation_log_has_no_split(tmp_path):
    assert fault_phases(FaultRun().load(tmp_path)) == {}


@given(st.lists(st.integers(-5, 4 * 10**12), max_size=50))
def test_counting_many_values_is_counting_each(values):
    expected = histogram.empty()
    for value in values:
        expected[histogram.bucket_of(min(max(value, 0), histogram.HIGHEST_NS))] += 1
    assert np.array_equal(counts_of(np.array(values, dtype=np.int64)), expected)


# --- frames, damage --------------------------------------------------------------------------------------


def test_faults_become_frames(tmp_path):
    KILLS.write(tmp_path)
    frames = product.load_runs(tmp_path)
    assert list(frames.faults["kind"]) == ["kill"] * 5
    assert list(frames.recoveries["stable_after_ns"] - frames.recoveries["first_after_ns"]) == [20 * MS] * 5
    assert set(frames.recoveries["baseline_band_ns"]) == {1_500_000}
    probes = frames.detections.query("detector == 'probe'")
    assert list(probes["after_ns"]) == [200 * MS - 3 * MS // 5] * 5


@pytest.mark.parametrize(
    ("section", "change", "problem"),
    [
        ("faults", {"number": "first"}, r"faults\[0\].number: expected a whole number"),
        ("faults", {"took_effect": None}, r"faults\[0\].took_effect: expected true or false"),
        ("recoveries", {"first_failure_ns": 1.5}, r"first_failure_ns: expected a whole number or null"),
        ("recoveries", {"baseline": {}}, r"recoveries\[0\].baseline.from_ns: expected a whole number"),
    ],
)
def test_a_damaged_record_of_faults_is_told_with_its_place(tmp_path, section, change, problem):
    file = FaultRun().write(tmp_path) / layout.RECORD
    record = json.loads(file.read_text())
    record[section][0].update(change)
    file.write_text(json.dumps(record))
    with pytest.raises(ResultError, match=problem):
        Run.load(file.parent)


def test_a_damaged_operation_log_is_told(tmp_path):
    run = KILLS.load(tmp_path)
    (run.path / "operations.npy").write_bytes(b"no numpy")
    with pytest.raises(ResultError, match="the run is damaged"):
        text.render(run, judge(run))
    np.save(run.path / "operations.npy", np.zeros(3))
    with pytest.raises(ResultError, match="expected records of arrivals"):
        text.render(run, judge(run))


def test_a_workload_without_a_clean_baseline_shows_no_times_of_a_recovery(tmp_path: Path) -> None:
    run = FaultRun(faults=[fault(0, 2, "stop")], recoveries=[unclean(0, 2)]).load(tmp_path)
    lines = text.render(run, judge(run))
    (recovered,) = [
        line for line in lines.splitlines() if line.startswith("0 stop redis") and "baseline" in line
    ]
    assert recovered.split()[3:] == ["no", "baseline", "?", "?", "?", "300"]
    (cost,) = [line for line in lines.split("Outage")[1].splitlines() if line.startswith("0 stop redis")]
    assert cost.split()[3] == "?"


def test_a_detector_that_was_in_alarm_or_did_not_look_is_no_miss_in_the_report(tmp_path: Path) -> None:
    told = [
        detection(0, "probe", None) | {"state": "no_look", "detail": "it looked 0 times in the 40 ms"},
        detection(0, "client_errors", None) | {"state": "in_alarm", "detail": "it was in alarm already"},
        detection(0, "engine_event", None) | {"state": "missed", "detail": "it did not notice"},
    ]
    run = FaultRun(faults=[fault(0, 2)], recoveries=[recovery(0, 2)], detections=told).load(tmp_path)
    shown = text.render(run, judge(run))
    assert "in alarm    no look        missed" in shown
    assert "probe, fault 0: it looked 0 times in the 40 ms." in shown
    assert "client errors, fault 0: it was in alarm already." in shown
    assert "engine event, fault 0" not in shown
