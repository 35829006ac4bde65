"""Run folders that were cut, emptied or half written: said plainly by every reader, never a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.core.errors import HoldfastError, ResultError
from bench.core.machine_limits import RAW_LOG_PREFIX
from bench.judge.judge import judge
from bench.report import data, markdown, text
from bench.report.html import run_page
from bench.results import layout
from bench.results.layout import run_name
from bench.results.ownership import sweep
from bench.results.reader import Run
from bench.results.writer import RunWriter
from chaos.results import _reconnections
from tests.helpers.fault_run import FaultRun, detection, integrity
from tests.helpers.run_records import record_of

SLA = ["cache.response.p99 < 1s", "cache.recovery.stable < 6s", "cache.availability(5s) >= 50%"]


@pytest.fixture
def faulted(tmp_path: Path) -> Path:
    detections = [detection(number, "probe", 2.4 + number) for number in range(5)]
    record = {"integrity": [integrity()], "duration_ns": 11 * 10**9}
    operations = [("ok", 10.0 * n, 10.0 * n + 1) for n in range(200)] + [("refused", 2100.0, 2101.0)]
    return FaultRun(sla=SLA, detections=detections, record=record, operations=operations).write(tmp_path)


def read_all(folder: Path) -> None:
    run = Run.load(folder)
    verdict = judge(run)
    text.render(run, verdict)
    run_page.render(run, verdict)
    markdown.render(run, verdict)
    data.render_json(run, verdict)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value of a record, the whole lists and objects too."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key not in (1, 2, 3, 4):  # the entries of a list are alike
            yield from leaves(item, (*path, key))


@pytest.mark.parametrize(
    "put",
    [None, "text", -1, [], {}, float("nan"), 10**400],
    ids=["null", "text", "number", "list", "object", "not a number", "huge"],
)
def test_a_record_with_anything_in_the_place_of_anything_is_read_or_refused(faulted: Path, put: Any) -> None:
    record = json.loads((faulted / layout.RECORD).read_text())
    read_all(faulted)
    refused, failed = 0, []
    for path in leaves(record):
        damaged = copy.deepcopy(record)
        place = damaged
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = put
        (faulted / layout.RECORD).write_text(json.dumps(damaged))
        try:
            read_all(faulted)
        except HoldfastError:
            refused += 1
        except Exception as error:  # noqa: BLE001 - any other is the bug that is looked for
            failed.append((path, repr(error)))
    assert failed == []
    assert refused > 10


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00v\x00{'descr'", b"PK\x03\x04", b"no array at all", bytes(4096)],
)
def test_operations_that_are_no_array_are_damage(faulted: Path, content: bytes) -> None:
    (faulted / layout.OPERATIONS).write_bytes(content)
    with pytest.raises(ResultError, match=r"operations\.npy: .*the run is damaged"):
        Run.load(faulted).operations()


def test_an_archive_in_the_place_of_the_operations_is_damage(faulted: Path) -> None:
    with (faulted / layout.OPERATIONS).open("wb") as file:
        np.savez(file, a=np.zeros(1))
    with pytest.raises(ResultError, match="the run is damaged"):
        Run.load(faulted).operations()


def complete_run(folder: Path) -> Path:
    """A run with two windows of one workload and three samples of two sources."""
    totals = {"planned": 2, "outcomes": {"ok": 2}}
    record = {
        "scenario": {"name": "e"},
        "sla": [],
        "phases": [],
        "workloads": [],
        "anomalies": [],
        "totals": totals,
        "measured_ns": 20,
        "duration_ns": 20,
        "resources": {"samples": 3},
    }
    with RunWriter(folder, run_name("e")) as writer:
        writer.outline(record_of(record))
        for start in (0, 10):
            writer.series({"start_ns": start, "end_ns": start + 10, "workload": "a"})
        for at in range(3):
            for source in ("generator", "machine"):
                writer.resources({"at_ns": at, "source": source})
        return writer.finish(record_of(record))


@pytest.mark.parametrize("name", [layout.SERIES, layout.RESOURCES])
@pytest.mark.parametrize("kept", ["nothing", "the header", "all lines but the last ones"])
def test_a_table_that_was_cut_between_two_lines_is_damage(tmp_path: Path, name: str, kept: str) -> None:
    folder = complete_run(tmp_path)
    read = {layout.SERIES: Run.series, layout.RESOURCES: Run.resources}[name]
    assert read(Run.load(folder))
    lines = (folder / name).read_text().splitlines(keepends=True)
    count = {"nothing": 0, "the header": 1}.get(kept, len(lines) - (1 if name == layout.SERIES else 2))
    (folder / name).write_text("".join(lines[:count]))
    with pytest.raises(ResultError, match=rf"{name}: expected .* the run is damaged"):
        read(Run.load(folder))


@pytest.mark.parametrize(
    "record",
    [
        '{"anomalies": null}',
        '{"anomalies": [5], "format": 1}',
        '{"format": 99}',
        '{"format": 1, "scenario": 7, "workloads": {"a": 1}}',
        "[]",
        "{",
        "",
        None,
    ],
)
def test_a_damaged_partial_folder_is_kept_under_its_name_and_can_be_reported(
    tmp_path: Path, record: str | None
) -> None:
    writer = RunWriter(tmp_path, "20260101t000000z-lost-abcdef")
    writer.leave()
    if record is not None:
        (writer.folder / layout.RECORD).write_text(record)
    with pytest.raises(ResultError):
        Run.load(writer.folder)
    (kept,) = sweep(tmp_path)
    run = Run.load(kept)
    assert (run.name, run.scenario, run.is_complete) == ("20260101t000000z-lost-abcdef", "lost", False)
    read_all(kept)


def test_what_lies_in_the_way_of_a_sweep_is_left_and_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / ".a-file.partial").write_text("")
    (tmp_path / ".no-owner.partial").mkdir()
    taken = RunWriter(tmp_path, "20260101t000000z-twice-abcdef")
    taken.leave()
    (tmp_path / taken.name).mkdir()
    assert sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_a_run_killed_before_it_had_a_partial_folder_leaves_nothing(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "20260101t000000z-young-abcdef")
    starting = tmp_path / layout.starting_name(writer.name)
    writer.folder.rename(starting)
    assert sweep(tmp_path) == []
    assert starting.is_dir()  # its writer lives
    writer.leave()
    assert sweep(tmp_path) == []
    assert not starting.exists()


def test_a_partial_folder_that_has_measured_nothing_says_what_becomes_of_it(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, run_name("e"))
    with pytest.raises(ResultError, match=r"measured nothing yet; .* the next bench run"):
        Run.load(writer.folder)
    writer.abandon()


def killed(out: Path) -> RunWriter:
    """A run whose harness was killed: nothing is finished, and nobody holds it."""
    writer = RunWriter(out, run_name("killed"))
    writer.outline(record_of({"scenario": {"name": "killed"}, "phases": []}))
    return writer


def test_the_operation_log_of_a_killed_run_goes_with_the_next_sweep(tmp_path: Path) -> None:
    writer = killed(tmp_path)
    for name in (f"{RAW_LOG_PREFIX}cache-0", f"{RAW_LOG_PREFIX}cache-1", layout.OPERATIONS):
        (writer.folder / name).write_bytes(bytes(1000))
    assert sweep(tmp_path) == [], "it is still being written"
    assert len(list(writer.folder.glob(f"{RAW_LOG_PREFIX}*"))) == 2
    writer.leave()
    (kept,) = sweep(tmp_path)
    assert not list(kept.glob(f"{RAW_LOG_PREFIX}*"))
    assert Run.load(kept).operations() is None, "it was killed while the logs were put together"


def test_the_operation_log_of_a_run_that_an_earlier_version_kept_goes_too(tmp_path: Path) -> None:
    writer = killed(tmp_path)
    writer.leave()
    (kept,) = sweep(tmp_path)
    (kept / f"{RAW_LOG_PREFIX}cache-0").write_bytes(bytes(1000))
    assert sweep(tmp_path) == []
    assert not list(kept.glob(f"{RAW_LOG_PREFIX}*"))


def test_a_kill_in_the_middle_of_a_character_costs_one_line(tmp_path: Path) -> None:
    writer = killed(tmp_path)
    (writer.folder / layout.EVENTS).write_bytes(
        b'{"at_ns":1,"kind":"phase"}\n{"at_ns":2,"kind":"x","text":"Verbindung abgelehnt \xc3'
    )
    (writer.folder / layout.SERIES).write_bytes(b"start_ns,workload\n1,cache\n2,caf\xc3")
    writer.leave()
    (kept,) = sweep(tmp_path)
    run = Run.load(kept)
    assert [entry["at_ns"] for entry in run.events()] == [1]
    assert [row["start_ns"] for row in run.series()] == [1]


def test_only_a_line_end_ends_a_line_of_json(tmp_path: Path) -> None:
    """Texts of engines and servers hold separators that are no line ends of ours."""
    text = "answer: a\u2028b \x85 c\u2029d"
    writer = killed(tmp_path)
    fields = {"at_ns": 1, "kind": "reconnected", "workload": text, "away_ns": 1}
    entry = json.dumps(fields, ensure_ascii=False)
    (writer.folder / layout.EVENTS).write_text(entry + "\n", encoding="utf-8")
    assert [lane.workload for lane in _reconnections(writer.folder)] == [text]
    writer.leave()
    (kept,) = sweep(tmp_path)
    assert len(Run.load(kept).events()) == 1


@pytest.mark.parametrize("value", [float("nan"), json.loads("[" * 300 + "]" * 300)], ids=["NaN", "deep"])
def test_what_is_free_in_its_form_is_refused_with_its_place_where_it_is_no_json(
    faulted: Path, value: Any
) -> None:
    record = json.loads((faulted / "run.json").read_text())
    record["environment"] = {"key": {"kernel": value}, "facts": {}}
    (faulted / "run.json").write_text(json.dumps(record))
    with pytest.raises(ResultError, match=r"environment\.key.*: expected "):
        judge(Run.load(faulted))
