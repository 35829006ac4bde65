"""resources.csv: written line by line, read back with what is unknown left out."""

import pytest

import bench
from bench.core.errors import ResultError
from bench.results.ownership import sweep
from bench.results.reader import Run
from bench.results.writer import RunWriter
from tests.helpers.run_records import record_of
from tests.helpers.synthetic_run import MS, NAME, ZERO, SyntheticRun, resource_rows

ROW = {
    "at_ns": 5,
    "phase": "steady",
    "source": "redis",
    "cpu_s": 0.25,
    "rss_bytes": 1 << 40,
    "pss_bytes": None,
}


def test_what_was_written_reads_back_and_unknown_cells_are_none(tmp_path):
    run = SyntheticRun(samples={"cache/get/response/ok": [(MS, 5)]}, resources=[ROW]).load(tmp_path)
    (found,) = run.resources()
    assert (found["source"], found["cpu_s"], found["rss_bytes"]) == ("redis", 0.25, float(1 << 40))
    assert found["pss_bytes"] is None
    assert found["fds"] is None


def test_the_rows_of_a_killed_run_are_there_up_to_the_last_whole_one(tmp_path):
    writer = RunWriter(tmp_path, NAME, ZERO)
    writer.outline(record_of({}))
    for _ in range(3):
        writer.resources(ROW)
    file = writer.folder / "resources.csv"
    file.write_text(file.read_text()[:-9])
    writer.leave()
    (kept,) = sweep(tmp_path)
    assert len(Run.load(kept).resources()) == 2


def test_a_run_of_an_earlier_version_has_none(tmp_path):
    path = SyntheticRun(samples={"cache/get/response/ok": [(MS, 5)]}).write(tmp_path)
    (path / "resources.csv").unlink()
    assert Run.load(path).resources() == []


def test_a_column_that_is_not_of_the_format_is_refused(tmp_path):
    with RunWriter(tmp_path, NAME, ZERO) as writer, pytest.raises(ValueError, match="found colour too"):
        writer.resources(ROW | {"colour": "red"})


def test_a_row_of_another_width_is_damage(tmp_path):
    path = SyntheticRun(samples={"cache/get/response/ok": [(MS, 5)]}, resources=[ROW]).write(tmp_path)
    file = path / "resources.csv"
    file.write_text(file.read_text() + "1,2\n")
    with pytest.raises(ResultError, match=r"resources\.csv: a row does not have the columns"):
        Run.load(path).resources()


def test_the_samples_are_a_frame(tmp_path):
    rows = resource_rows("redis", lambda at_s: 1e6) + resource_rows("generator", lambda at_s: 2e6)
    path = SyntheticRun(samples={"cache/get/response/ok": [(MS, 5)]}, resources=rows).write(tmp_path)
    frame = bench.load_runs(path).resources
    assert len(frame) == 222
    assert set(frame["run"]) == {path.name}
    assert frame.groupby("source")["rss_bytes"].max().to_dict() == {"generator": 2e6, "redis": 1e6}
