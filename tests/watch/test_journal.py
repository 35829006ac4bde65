"""The journal of a watch: each complete line counts once, whenever it is killed, and it stays small."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import ResultError, UsageError
from bench.core.units import NS
from bench.report.watch import render_text, save
from bench.watch.history import RowRecord, told
from bench.watch.journal import JOURNAL, Journal, alone
from bench.watch.objectives import Ledger, objectives_of
from bench.watch.rollup import encoded, joined, merged, rolled
from bench.watch.summary import Known, summary_of
from tests.helpers.synthetic_run import MS, counts_of
from tests.watch.test_history import LOST, WELL, row_of, slots_of

NOW = "2026-02-02T10:00:00+00:00"
MIN, D = NS["min"], NS["d"]


def minute_rows(count: int, seed: int = 1) -> list[RowRecord]:
    """Minutes, some of which have an outage in them."""
    draw = random.Random(seed)
    rows = []
    for at in range(count):
        lost = draw.choice([0] * 20 + [5, 20])
        slots = slots_of(WELL * 30 + LOST * lost + WELL * (30 - lost), at * 60)
        row = row_of(slots, at + 1, run=f"run-{at}")
        tally = row.workloads["cache"].model_copy(
            update={"response": encoded(counts_of((draw.randint(1, 90) * MS, 100)))}
        )
        rows.append(row.model_copy(update={"workloads": {"cache": tally}}))
    return rows


ROWS = minute_rows(200)


def test_a_watch_killed_at_any_byte_has_the_segments_whose_line_is_complete(tmp_path: Path) -> None:
    journal = Journal.opened(tmp_path, "cache", NOW)
    for row in ROWS[:6]:
        journal.append(row)
    file = tmp_path / JOURNAL
    data = file.read_bytes()
    head = data.index(b"\n") + 1
    for end in range(head, len(data) + 1, 7):
        file.write_bytes(data[:end])
        found = Journal.opened(tmp_path, "cache", NOW)
        whole = data[:end].count(b"\n") - 1
        assert found.rows == ROWS[:whole]
        for row in ROWS[found.next_number - 1 : 6]:
            found.append(row)
        assert file.read_bytes() == data


def test_a_watch_killed_while_its_journal_was_begun_begins_it_again(tmp_path: Path) -> None:
    (tmp_path / JOURNAL).write_bytes(b'{"format": 1')
    assert Journal.read(tmp_path) is None
    journal = Journal.opened(tmp_path, "cache", NOW)
    journal.append(ROWS[0])
    again = Journal.read(tmp_path)
    assert again is not None
    assert again.rows == ROWS[:1]


def test_rolling_up_changes_no_sum_and_no_incident_and_makes_the_journal_short(tmp_path: Path) -> None:
    rows = minute_rows(60 * 12)
    journal, plain = Journal.opened(tmp_path, "cache", NOW), told(rows)
    for row in rows:
        journal.append(row)
        if row.last % 60 == 0:
            journal.roll_up(row.until_ns)
    again = Journal.read(tmp_path)
    assert again is not None
    assert again.rows == journal.rows
    assert again.story == plain
    assert again.next_number == len(rows) + 1
    assert len(again.rows) < 8 * 60 + 24
    for name in ("planned", "ok"):
        assert sum(getattr(row.workloads["cache"], name) for row in again.rows) == sum(
            getattr(row.workloads["cache"], name) for row in rows
        )
    text = "cache.response.p99(window=30d) < 50ms"
    ledgers = [Ledger(objectives_of([text], (), ["cache"])) for _ in range(2)]
    now_ns = rows[-1].until_ns
    (rolled_up,), (whole,) = (
        ledger.standings(each, 0, now_ns) for ledger, each in zip(ledgers, (again.rows, rows), strict=True)
    )
    assert rolled_up == whole


@given(st.lists(st.integers(1, 199), max_size=5), st.integers(0, 500))
def test_rows_rolled_up_in_any_steps_are_those_rolled_up_together(cuts: list[int], age_d: int) -> None:
    now_ns = age_d * D
    steps: list[RowRecord] = []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(ROWS)], strict=True):
        steps = rolled([*steps, *ROWS[begin:end]], now_ns)
    together = rolled(ROWS, now_ns)
    assert [(row.first, row.last, row.watched_ns) for row in steps] == [
        (row.first, row.last, row.watched_ns) for row in together
    ]
    if together:
        one, other = joined(steps), joined(together)
        assert one.workloads["cache"].planned == other.workloads["cache"].planned
        times = (merged([row.workloads["cache"].response]) for row in (one, other))
        first, second = times
        assert (first == second).all()


def test_a_second_watch_of_a_folder_is_refused_with_the_process_of_the_first(tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match=f"found process {os.getpid()}")
    with alone(tmp_path), refused, alone(tmp_path):
        pytest.fail("two at a time")
    with alone(tmp_path):
        pass


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{}\n", "first: expected a whole number"),
        (b"nonsense\n", "damaged"),
        (b'{"first":7,"last":7,"from_ns":0,"until_ns":1}\n', "found a gap"),
    ],
)
def test_a_damaged_journal_is_reported_with_its_file(tmp_path: Path, line: bytes, expected: str) -> None:
    journal = Journal.opened(tmp_path, "cache", NOW)
    journal.append(ROWS[0])
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(line)
    with pytest.raises(ResultError, match=expected) as found:
        Journal.read(tmp_path)
    assert JOURNAL in str(found.value)


def test_a_folder_of_another_scenario_is_refused(tmp_path: Path) -> None:
    Journal.opened(tmp_path, "cache", NOW)
    with pytest.raises(UsageError, match="found that of cache"):
        Journal.opened(tmp_path, "shop", NOW)


def test_text_and_page_name_the_objective_the_incidents_and_what_was_not_watched(tmp_path: Path) -> None:
    rows = [row_of(slots_of(WELL * 20 + LOST * 5 + WELL * 35), 1), row_of(slots_of(WELL * 60, 90), 2)]
    objective = "availability(window=30d) >= 99.9%"
    ledger = Ledger(objectives_of([objective], (), ["cache"]))
    summary = summary_of(Known("cache", NOW, rows, told(rows)), ledger, 150 * 10**9)
    text = render_text(summary, tmp_path)
    page = save(summary, tmp_path, 60).read_text(encoding="utf-8")
    for shown in (objective, "BROKEN", "1 incident", "14.4", "1970-01-01 00:00:20", "30 s", "nobody watched"):
        assert shown in text
        assert shown.replace(">", "&gt;") in page
    assert 'http-equiv="refresh" content="60"' in page
    assert 'class="badge fail"' in page
    assert summary.exit_code == 1
    assert max(map(len, text.splitlines())) <= 80
