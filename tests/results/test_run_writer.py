import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core import histogram
from bench.core.errors import ResultError
from bench.core.outcome import OUTCOMES
from bench.results import layout
from bench.results.layout import run_name
from bench.results.logs import KINDS, ActivityRecord, Encoder, Tag, Window, decode, line_of, window_of
from bench.results.ownership import sweep
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, NAME, ZERO, S, SyntheticRun, counts_of

VALUES = st.lists(
    st.tuples(st.integers(0, histogram.HIGHEST_NS), st.integers(1, 10**9)), min_size=1, max_size=40
)
PERCENTS = (0.1, 50, 90, 95, 99, 99.9, 100)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_a_written_histogram_is_read_back_by_the_hdrhistogram_package_with_equal_counts(
    tmp_path_factory, pairs
):
    counts = counts_of(*pairs)
    out = tmp_path_factory.mktemp("out")
    with RunWriter(out, run_name("property"), ZERO) as writer:
        writer.histogram("cache/get/response/ok", 5 * S, 6 * S, counts)
        folder = writer.finish(record_of({}))

    reader = HistogramLogReader(
        str(folder / layout.WINDOWS), HdrHistogram(histogram.LOWEST_NS, histogram.HIGHEST_NS, 3)
    )
    read = reader.get_next_interval_histogram()
    reader.close()

    assert read.get_tag() == "cache/get/response/ok"
    assert read.get_total_count() == counts.sum()
    assert (histogram.from_hdr(read) == counts).all()


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_percentiles_of_the_log_are_ours_for_every_rank_both_define_alike(pairs):
    """The package takes rank int(p*n/100 + 0.5), we take ceil(p*n/100): compared at whole ranks."""
    counts = counts_of(*pairs)
    theirs = histogram.to_hdr(
        decode(line_of(Window(Tag.parse("a/b/lag/ok"), 0, S, counts), Encoder()).strip().split(",")[-1])
    )
    total = int(counts.sum())
    for percent in PERCENTS:
        if (percent * total / 100).is_integer():
            assert theirs.get_value_at_percentile(percent) == histogram.percentile_ns(counts, percent)
    assert theirs.get_max_value() == histogram.max_ns(counts)


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**12),
    st.sampled_from(KINDS),
    st.sampled_from(OUTCOMES),
    st.booleans(),
)
def test_a_line_of_the_log_reads_back_as_the_window_it_was(start_ns, length_ns, kind, outcome, measured):
    tag = Tag("cache", "get", kind, outcome.label, measured)
    window = Window(tag, start_ns, start_ns + length_ns, counts_of(7))
    read = window_of(line_of(window, Encoder()))
    assert read is not None
    assert (read.tag, read.start_ns, read.end_ns) == (tag, window.start_ns, window.end_ns)


@given(st.text(max_size=60))
def test_any_text_is_a_tag_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert str(Tag.parse(text)) == text


@given(st.text(max_size=80))
def test_any_text_is_a_line_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        window_of(text)


def test_a_run_has_its_name_only_when_it_is_complete(tmp_path):
    writer = RunWriter(tmp_path, NAME, ZERO)
    writer.outline(record_of({"scenario": {"name": "redis_latency"}}))
    assert not (tmp_path / NAME).exists()
    folder = writer.finish(record_of({"scenario": {"name": "redis_latency"}}))
    assert folder == tmp_path / NAME
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert not (folder / layout.OWNER).exists()


def test_an_interrupted_run_is_kept_and_marked(tmp_path):
    run = SyntheticRun(samples={"cache/get/response/ok": [(MS, 5)]}, interrupted=True).load(tmp_path)
    assert not run.is_complete
    assert run.histogram("response").sum() == 5


def test_an_abandoned_run_leaves_nothing(tmp_path):
    RunWriter(tmp_path, NAME, ZERO).abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_run_whose_writer_fails_after_its_outline_is_kept_by_the_next_sweep(tmp_path):
    def failing_run():
        with RunWriter(tmp_path, NAME, ZERO) as writer:
            writer.outline(record_of({"scenario": {"name": "redis_latency"}, "sla": ["errors < 1%"]}))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing_run()
    (kept,) = sweep(tmp_path)
    run = Run.load(kept)
    assert run.rules == ["errors < 1%"]
    assert not run.is_complete
    assert [anomaly.code for anomaly in run.anomalies] == ["harness_gone"]


def test_a_sweep_leaves_a_living_run_alone(tmp_path):
    writer = RunWriter(tmp_path, NAME, ZERO)
    assert sweep(tmp_path) == []
    assert writer.finish(record_of({})).is_dir()
    assert sweep(tmp_path) == []


def test_a_sweep_of_a_missing_folder_finds_nothing(tmp_path):
    assert sweep(tmp_path / "none") == []


KILLED = f"""
import sys
from pathlib import Path
from bench.core import histogram
from bench.results.run_record import RunRecord, ScenarioRecord
from bench.results.writer import RunWriter
writer = RunWriter(Path(sys.argv[1]), {NAME!r})
writer.outline(RunRecord(scenario=ScenarioRecord(name="redis_latency")))
counts = histogram.empty()
counts[1000] = 3
writer.histogram("cache/get/response/ok", 0, 10, counts)
writer.event(0, "phase", name="warmup")
print("written", flush=True)
sys.stdin.read()
"""


def test_what_was_written_before_a_kill_is_there_after_the_sweep(tmp_path):
    """The lock goes with the process, so the sweep needs no pid: it works across containers too."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with child:
        assert child.stdout.readline() == b"written\n"
        assert sweep(tmp_path) == []
        os.kill(child.pid, signal.SIGKILL)
    (kept,) = sweep(tmp_path)
    run = Run.load(kept)
    assert kept.name == NAME
    assert run.histogram("response").sum() == 3
    assert run.events() == [{"at_ns": 0, "kind": "phase", "name": "warmup"}]


def test_a_killed_run_without_outline_still_knows_its_scenario(tmp_path):
    RunWriter(tmp_path, NAME, ZERO).leave()
    (kept,) = sweep(tmp_path)
    assert Run.load(kept).scenario == "redis_latency"


def test_two_runs_of_one_second_have_different_names():
    assert run_name("x") != run_name("x")
    assert layout.RUN_NAME.fullmatch(run_name("redis_latency"))["scenario"] == "redis_latency"


def test_a_later_row_may_lack_a_column_but_not_add_one(tmp_path):
    writer = RunWriter(tmp_path, NAME, ZERO)
    writer.series({"a": 1, "b": 2})
    writer.series({"b": 3})
    with pytest.raises(ValueError, match="expected the columns of the first row, found c too"):
        writer.series({"c": 1})
    folder = writer.finish(record_of({}))
    assert (folder / layout.SERIES).read_text() == "a,b\n1,2\n,3\n"


def test_a_tag_that_is_not_of_the_format_is_refused_when_written(tmp_path):
    with (
        RunWriter(tmp_path, NAME, ZERO) as writer,
        pytest.raises(ValueError, match="expected one of response, "),
    ):
        writer.histogram("cache/get/latency/ok", 0, 1, counts_of(1))


def test_a_record_with_nan_is_refused(tmp_path):
    """Other readers of JSON cannot read NaN."""
    with RunWriter(tmp_path, NAME, ZERO) as writer, pytest.raises(ValueError, match="JSON"):
        writer.finish(record_of({"value": float("nan")}))


def test_numpy_numbers_are_written_as_plain_ones(tmp_path):
    counts = counts_of((5, 2))
    record = record_of({"total": counts.sum(), "values": counts[:2]})
    folder = RunWriter(tmp_path, NAME, ZERO).finish(record)
    written = json.loads((folder / layout.RECORD).read_text())
    assert (written["total"], written["values"]) == (2, [0, 0])


def test_a_place_that_cannot_be_written_is_said_plainly(tmp_path):
    blocker = tmp_path / "results"
    blocker.write_text("a file where the folder should be")
    with pytest.raises(
        ResultError, match=r"results cannot be written to .*results.*choose another folder with --out"
    ):
        RunWriter(blocker, NAME)


def test_an_artifact_cannot_leave_the_folder(tmp_path):
    with RunWriter(tmp_path, NAME, ZERO) as writer:
        assert writer.artifact("redis.log").parent == writer.folder
        with pytest.raises(ValueError, match="expected a plain file name"):
            writer.artifact("../redis.log")


def test_a_disk_that_is_full_is_told_with_the_folder(tmp_path: Path) -> None:
    def write_to_a_full_disk() -> None:
        with RunWriter(tmp_path, run_name("full"), ZERO) as writer:
            writer._events.close()
            writer._events = Path("/dev/full").open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - the writer closes it
            writer.event(0, "what stays in the buffer is refused again when the file is closed")

    with pytest.raises(ResultError, match=f"written to {tmp_path}.*make room"):
        write_to_a_full_disk()


def test_what_services_reported_is_read_back_and_a_run_without_it_is_read_too(tmp_path):
    folder = SyntheticRun().write(tmp_path)
    (folder / layout.ACTIVITY).unlink()
    assert Run.load(folder).activity() == []

    with RunWriter(tmp_path, run_name("activity"), ZERO) as writer:
        record = ActivityRecord(at_ns=2 * S, since_ns=S, target="redis", kind="fork", took_ns=30 * MS)
        writer.activity(record)
        folder = writer.finish(record_of({}), interrupted=True)
    assert Run.load(folder).activity() == [record]

    (folder / layout.ACTIVITY).write_text('{"at_ns": 1}\n')
    with pytest.raises(ResultError, match=r"activity.jsonl:1: since_ns: expected a whole number"):
        Run.load(folder).activity()
