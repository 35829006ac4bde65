"""Incidents and gaps of literal histories; and that it does not matter how a history is cut into segments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bench.watch.history import (
    UNKNOWN,
    UNREACHABLE,
    IncidentRecord,
    RowRecord,
    Slot,
    StoryRecord,
    TallyRecord,
    harm_in,
    told,
)

S = 10**9
WELL, LOST, MIXED, WAITING, IDLE = "+", "x", "%", "?", "."
"""One window of 1 s each: all succeeded; all failed; some of each; due and not answered; nothing due."""
COUNTS = {WELL: (4, 4, 0), LOST: (4, 0, 4), MIXED: (4, 2, 2), WAITING: (1, 0, 0), IDLE: (0, 0, 0)}


def slots_of(text: str, from_s: int = 0) -> list[Slot]:
    return [Slot((from_s + at) * S, (from_s + at + 1) * S, *COUNTS[sign]) for at, sign in enumerate(text)]


def row_of(slots: Sequence[Slot], number: int, **more: object) -> RowRecord:
    row = RowRecord(
        first=number,
        last=number,
        from_ns=slots[0].from_ns,
        until_ns=slots[-1].until_ns,
        workloads={
            "cache": TallyRecord(
                planned=sum(slot.ok + slot.failed for slot in slots), ok=sum(slot.ok for slot in slots)
            )
        },
        watched_ns=slots[-1].until_ns - slots[0].from_ns,
        harm=harm_in("cache", slots),
    )
    return row.model_copy(update=more)


def story_of(*segments: str) -> StoryRecord:
    """Of segments that follow each other; blanks are seconds in which nobody watched."""
    rows: list[RowRecord] = []
    from_s = 0
    for text in segments:
        if text.strip():
            rows.append(row_of(slots_of(text, from_s), len(rows) + 1))
        from_s += len(text)
    return told(rows)


def stamps(found: IncidentRecord) -> tuple[float, ...]:
    """Begin, first success and stable, in s; -1 for what did not happen."""
    times = (found.begin_ns, found.first_success_ns, found.stable_ns)
    return tuple(-1 if ns is None else ns / S for ns in times)


def test_an_outage_is_an_incident_with_its_stamps() -> None:
    (found,) = story_of("++++xxx+++++++++++++").all_incidents()
    assert stamps(found) == (4, 7, 7)
    assert found.failed == 12


def test_an_incident_is_stable_after_its_last_harm_and_not_before_ten_seconds_without_any() -> None:
    (found,) = story_of("++xxx++%+++++").all_incidents()
    assert stamps(found) == (2, 5, -1)
    (found,) = story_of("++xxx++%+++++", "+++++++").all_incidents()
    assert stamps(found) == (2, 5, 8)


def test_two_outages_within_ten_seconds_are_one_incident_and_later_ones_two() -> None:
    assert [stamps(one) for one in story_of("xx+++xx++++++++++++").all_incidents()] == [(0, 2, 7)]
    two = story_of("xx++++++++++xx++++++++++").all_incidents()
    assert [stamps(one) for one in two] == [(12, 14, 14), (0, 2, 2)]


def test_failures_among_successes_are_no_incident() -> None:
    assert story_of("+%+%%%+%++++++++++").all_incidents() == []


def test_waiting_for_an_answer_is_part_of_the_outage_it_leads_to_and_harms_nobody_by_itself() -> None:
    (found,) = story_of("+?xx++++++++++++").all_incidents()
    assert stamps(found) == (1, 4, 4)
    assert story_of("+?++?+?++++").all_incidents() == []
    (found,) = story_of("xx+?+?+?+?+?+?+?").all_incidents()
    assert stamps(found) == (0, 2, 2)


def test_an_outage_over_the_end_of_a_segment_is_one_incident() -> None:
    (found,) = story_of("+++xx", "xxx++++++++++").all_incidents()
    assert stamps(found) == (3, 8, 8)
    assert found.failed == 20


def test_a_target_that_is_well_after_a_gap_came_back_by_then_at_the_latest() -> None:
    (found,) = story_of("+++xx", "     ", "+++++++++++").all_incidents()
    assert stamps(found) == (3, 10, 10)


def test_an_outage_on_both_sides_of_a_gap_is_one_and_says_how_much_of_it_nobody_saw() -> None:
    story = story_of("+++xx", " " * 30, "xx++++++++++++")
    (found,) = story.all_incidents()
    assert stamps(found) == (3, 37, 37)
    assert found.unwatched_ns == 30 * S
    assert [(gap.from_ns / S, gap.until_ns / S) for gap in story.gaps] == [(5, 35)]
    assert story.unwatched_ns == 30 * S


def test_a_segment_that_says_nothing_is_a_gap_with_its_reason_and_neither_harm_nor_success() -> None:
    rows = [
        row_of(slots_of("++xx"), 1),
        row_of(slots_of("++++", 4), 2, kind=UNKNOWN, because="the generator was busy", watched_ns=0, harm=[]),
        row_of(slots_of("x+++++++++++", 8), 3),
    ]
    story = told(rows)
    (found,) = story.all_incidents()
    assert stamps(found) == (2, 9, 9)
    assert found.unwatched_ns == 4 * S
    assert [gap.because for gap in story.gaps] == ["the generator was busy"]


def test_an_outage_goes_on_through_a_time_in_which_only_another_workload_was_asked() -> None:
    others = {"shop": TallyRecord(planned=40)}
    rows = [
        row_of(slots_of("++xx"), 1),
        row_of(slots_of("++++", 4), 2, kind=UNREACHABLE, workloads=others, harm=[]),
        row_of(slots_of("x+++++++++++", 8), 3),
    ]
    (found,) = told(rows).all_incidents()
    assert (stamps(found), found.unwatched_ns) == ((2, 9, 9), 4 * S)


def test_a_row_that_is_in_the_story_already_changes_nothing() -> None:
    rows = [row_of(slots_of("+++xxx"), 1), row_of(slots_of("x+++", 6), 2)]
    story = told(rows)
    assert told(rows, story) == story
    assert told(rows, told(rows[:1])) == story


histories = st.lists(
    st.tuples(st.sampled_from([WELL, WELL, LOST, MIXED, WAITING, IDLE]), st.integers(1, 14)), min_size=1
).map(lambda parts: "".join(sign * times for sign, times in parts))


@given(histories, st.data())
def test_however_a_history_is_cut_into_segments_its_totals_and_incidents_are_the_same(
    history: str, data: st.DataObject
) -> None:
    places = data.draw(st.sets(st.integers(1, max(len(history) - 1, 1)), max_size=12))
    cuts = sorted({0, len(history), *(place for place in places if place < len(history))})
    slots = slots_of(history)
    rows = [row_of(slots[a:b], number) for number, (a, b) in enumerate(pairwise(cuts), start=1)]
    whole, parts = told([row_of(slots, 1)]), told(rows)
    assert parts.all_incidents() == whole.all_incidents()
    assert sum(row.workloads["cache"].planned for row in rows) == sum(
        COUNTS[sign][1] + COUNTS[sign][2] for sign in history
    )
    # A story that was written down between any two segments, and read again, goes on as if it had not been.
    place = data.draw(st.integers(0, len(rows)))
    kept = StoryRecord.read(told(rows[:place]).model_dump())
    assert told(rows, kept) == parts
