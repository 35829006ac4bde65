import json
import shutil

import pytest

from bench.core.errors import ResultError
from bench.results import layout
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, S, SyntheticRun

SAMPLES = {
    "unmeasured:cache/get/response/ok": [(5 * MS, 7)],
    "cache/get/response/ok": [(MS, 60)],
    "cache/get/response/timeout": [(S, 2)],
    "cache/set/response/ok": [(2 * MS, 40)],
    "cache/get/service/ok": [(MS // 2, 60)],
}


@pytest.fixture
def folder(tmp_path):
    return SyntheticRun(samples=SAMPLES, windows=4).write(tmp_path)


def test_a_histogram_sums_the_measured_windows_of_its_scope(folder):
    run = Run.load(folder)
    assert run.histogram("response").sum() == 102
    assert run.histogram("response", "cache", "get").sum() == 62
    assert run.histogram("response", "cache", "get", ("ok",)).sum() == 60
    assert run.histogram("service", "cache", "set").sum() == 0
    assert run.histogram("response", "other").sum() == 0


def test_deliveries_are_no_arrivals_of_a_pubsub_workload(tmp_path):
    samples = {"cache/publish/response/ok": [(MS, 10)], "cache/deliver/response/ok": [(MS, 30)]}
    run = SyntheticRun(samples=samples, workload={"driver": "redis_pubsub"}).load(tmp_path)
    assert run.histogram("response").sum() == 10
    assert run.histogram("response", "cache", "deliver").sum() == 30


def test_windows_come_one_at_a_time_in_the_order_of_writing(folder):
    windows = list(Run.load(folder).windows("service"))
    assert [(w.start_ns, w.end_ns, int(w.counts.sum())) for w in windows] == [
        (S, 3_500_000_000, 15),
        (3_500_000_000, 6 * S, 15),
        (6 * S, 8_500_000_000, 15),
        (8_500_000_000, 11 * S, 15),
    ]


def test_series_and_events_read_back(folder):
    run = Run.load(folder)
    assert run.series()[1] == {"start_s": 1.0, "end_s": 2.0, "planned": 500.0, "ok": 500.0}
    assert run.events()[1] == {"at_ns": S, "kind": "phase", "name": "steady"}


def test_the_record_file_may_be_named_instead_of_the_folder(folder):
    assert Run.load(folder / layout.RECORD).path == folder


def test_a_folder_of_runs_names_its_newest(folder):
    with pytest.raises(
        ResultError, match=r"expected one run folder, found 1 runs in it; the newest is .*0a1b2c"
    ):
        Run.load(folder.parent)


def test_a_missing_folder_and_one_without_a_run_are_told_apart(tmp_path):
    with pytest.raises(ResultError, match="found nothing there"):
        Run.load(tmp_path / "none")
    with pytest.raises(ResultError, match=r"found no run\.json in it"):
        Run.load(tmp_path)


def changed(folder, **changes):
    file = folder / layout.RECORD
    record = json.loads(file.read_text())
    record.update(changes)
    file.write_text(json.dumps({key: value for key, value in record.items() if value != "absent"}))
    return folder


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2, "holdfast": "9.9"}, "expected format 1 or older, found 2, written by Holdfast 9.9"),
        ({"format": "one"}, "expected a format number, found 'one'"),
        ({"sla": "absent"}, "sla: expected a list, found nothing"),
        ({"measured_ns": True}, "measured_ns: expected a whole number, found true or false"),
        ({"workloads": [3]}, r"workloads\[0\]: expected an object, found a whole number"),
        ({"workloads": [{"counts": []}]}, r"workloads\[0\].name: expected a text, found nothing"),
        (
            {"workloads": [{"name": "a", "counts": [{"operation": "x", "measured": True, "planned": "1"}]}]},
            r"workloads\[0\].counts\[0\].planned: expected a whole number, found a text",
        ),
        (
            {"totals": {"planned": 1, "outcomes": {"lost": 1}}},
            "totals.outcomes: expected one of dropped, .*'lost'",
        ),
        ({"anomalies": ["x"]}, r"anomalies\[0\]: expected an object, found a text"),
        ({"sla": [5]}, r"sla\[0\]: expected a text, found a whole number"),
        ({"environment": None}, "environment: expected an object, found nothing"),
        (
            {"stack": {"targets": [{"address": "a"}]}},
            r"stack\.targets\[0\]\.name: expected a text, found nothing",
        ),
        ({"calibration": {"floor_ns": {"p50": "1"}}}, r"calibration\.floor_ns\.p50: .* found a text"),
        ({"generator": {"idle_ratio": 10**400}}, r"generator\.idle_ratio: .* found a number out of range"),
        ({"duration_ns": 1.5}, "duration_ns: expected a whole number, found a number"),
    ],
)
def test_a_record_that_cannot_be_relied_on_is_refused_with_its_place(folder, changes, told):
    with pytest.raises(ResultError, match=told):
        Run.load(changed(folder, **changes))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "\x00"])
def test_a_record_that_is_no_json_object_is_refused(folder, text):
    (folder / layout.RECORD).write_text(text)
    with pytest.raises(ResultError, match="this run cannot be read"):
        Run.load(folder)


def test_a_damaged_line_of_the_log_is_told_with_its_number(folder):
    file = folder / layout.WINDOWS
    lines = file.read_text().splitlines(keepends=True)
    lines[6] = lines[6].replace("HISTF", "HISTX")
    file.write_text("".join(lines))
    with pytest.raises(ResultError, match=r"windows\.hlog:7: the histogram cannot be decoded"):
        Run.load(folder).histogram("response")


def test_every_truncation_of_an_interrupted_log_reads_up_to_its_last_whole_line(tmp_path):
    folder = SyntheticRun(samples={"cache/get/response/ok": [(MS, 3)]}, windows=3, interrupted=True).write(
        tmp_path
    )
    file = folder / layout.WINDOWS
    text = file.read_text()
    for length in range(len(text)):
        file.write_text(text[:length])
        whole = text[:length].count("\nTag=") - (0 if text[:length].endswith("\n") else 1)
        assert Run.load(folder).histogram("response").sum() in (max(0, whole), max(0, whole) + 1)


def test_a_cut_log_of_a_complete_run_is_damage(folder):
    file = folder / layout.WINDOWS
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ResultError, match="the run is damaged"):
        Run.load(folder).histogram("response")


@pytest.mark.parametrize("lines", [5, 7])
def test_a_log_that_lost_whole_lines_is_damage(folder, lines):
    file = folder / layout.WINDOWS
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(ResultError, match=r"expected 6\d response times of cache\.get, as run\.json says"):
        Run.load(folder).histogram("response")


@pytest.mark.parametrize("name", [layout.WINDOWS, layout.SERIES, layout.EVENTS])
def test_a_missing_file_of_a_complete_run_is_damage(folder, name):
    (folder / name).unlink()
    run = Run.load(folder)
    with pytest.raises(ResultError, match=f"{name}: expected the file, found none"):
        [run.tags, run.series, run.events][[layout.WINDOWS, layout.SERIES, layout.EVENTS].index(name)]()


def test_a_row_of_another_width_is_damage(folder):
    with (folder / layout.SERIES).open("a") as file:
        file.write("1,2\n")
    with pytest.raises(ResultError, match=r"series\.csv: a row does not have the columns"):
        Run.load(folder).series()


def test_an_event_that_is_no_object_is_told_with_its_line(folder):
    with (folder / layout.EVENTS).open("a") as file:
        file.write("3\n")
    with pytest.raises(ResultError, match=r"events\.jsonl:3: expected an object"):
        Run.load(folder).events()


def test_a_run_is_read_wherever_its_folder_was_moved(folder, tmp_path):
    moved = shutil.move(folder, tmp_path / "elsewhere")
    assert Run.load(moved).name == "20260202t024000z-redis_latency-0a1b2c"
