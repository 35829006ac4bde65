"""The zone test against every order tried, and the tests themselves against wrong rules."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np
import pytest

from chaos.integrity import zones
from chaos.integrity.zones import NEVER, History, judge
from tests.chaos.integrity.brute_force import INITIAL, Op, history_of, is_linearizable, random_ops

HISTORIES = 12_000


@pytest.fixture(scope="module")
def corpus() -> list[tuple[list[Op], bool]]:
    """Random histories and whether each is linearizable, by trying every order."""
    random = np.random.default_rng(20_260_202)
    return [(ops, is_linearizable(ops)) for ops in (random_ops(random) for _ in range(HISTORIES))]


def test_it_agrees_with_a_search_of_every_order(corpus: list[tuple[list[Op], bool]]) -> None:
    illegal = sum(not legal for _, legal in corpus)
    assert HISTORIES / 5 < illegal < HISTORIES * 4 / 5  # a corpus of one kind would show nothing
    for ops, legal in corpus:
        assert (judge(history_of(ops), INITIAL).count == 0) == legal, ops


MUTATIONS = [
    ("is_forward = first_return < last_invoke", "is_forward = first_return <= last_invoke"),
    ("is_forward = first_return < last_invoke", "is_forward = first_return < last_invoke - 1"),
    ("begins[1:] < reach[:-1]", "begins[1:] <= reach[:-1]"),
    ("begins[1:] < reach[:-1]", "begins[1:] < ends[:-1] - 1"),
    ("begins[1:] < reach[:-1]", "begins[1:] > reach[:-1]"),
    ("first_return[backward[some]] < reach[before[some] - 1]", "np.zeros(len(some), bool)"),
    ("< reach[before[some] - 1]", "<= reach[before[some] - 1]"),
    ('side="left")  # forward', 'side="right")  # forward'),
    ("known.return_ns[early] < invoked[cluster[early]]", "known.return_ns[early] <= invoked[cluster[early]]"),
    ("known.return_ns[early] < invoked[cluster[early]]", "np.zeros(len(early), bool)"),
    ("cluster[belongs], history.return_ns[", "cluster[belongs], history.invoke_ns["),
    ("cluster[belongs], history.invoke_ns[", "cluster[belongs], history.return_ns["),
    ("np.append(history.return_ns, BEFORE_ALL)", "np.append(history.return_ns, NEVER)"),
    ("len(orphans) + len(early) + count", "len(early) + count"),
    ("~known.is_write & (known.return_ns == NEVER)", "np.zeros(len(known.value), bool)"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong"), MUTATIONS)
def test_a_wrong_rule_would_be_noticed(right: str, wrong: str, corpus: list[tuple[list[Op], bool]]) -> None:
    source = Path(zones.__file__).read_text(encoding="utf-8")
    assert source.count(right) == 1, right
    mutant = types.ModuleType("mutant")
    mutant.__dict__["__name__"] = zones.__name__  # dataclasses look their module up
    exec(source.replace(right, wrong), mutant.__dict__)
    assert any((mutant.judge(history_of(ops), INITIAL).count == 0) != legal for ops, legal in corpus), (
        "no history of the corpus tells this rule from the right one"
    )


def ops(*listed: tuple[int, int, int, bool]) -> History:
    return history_of([Op(*one) for one in listed])


def test_a_stale_read_is_found_with_its_values() -> None:
    found = judge(ops((0, 1, 1, True), (2, 3, 2, True), (4, 5, 1, False)), INITIAL)
    assert found.count == 1
    assert sorted(found.examples[0].values) == [1, 2]


def test_a_register_that_is_empty_again_is_found() -> None:
    assert judge(ops((0, 1, 1, True), (2, 3, INITIAL, False)), INITIAL).count == 1


def test_a_value_that_nobody_wrote_is_found() -> None:
    found = judge(ops((0, 1, 1, True), (2, 3, 77, False)), INITIAL)
    assert [example.to_json() for example in found.examples] == [
        {"what": "a value that was never written was read", "value": 77, "invoke_ns": 2, "return_ns": 3}
    ]


def test_a_write_of_unknown_outcome_may_have_happened_or_not() -> None:
    unknown = (0, NEVER, 1, True)
    assert judge(ops(unknown, (2, 3, INITIAL, False), (4, 5, 1, False)), INITIAL).count == 0
    assert judge(ops(unknown, (2, 3, 1, False), (4, 5, INITIAL, False)), INITIAL).count == 1


def test_nothing_seen_is_no_contradiction() -> None:
    assert judge(ops(), INITIAL).count == 0
    assert judge(ops(), None).count == 0


def test_a_value_that_is_written_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="at most once"):
        judge(ops((0, 1, 1, True), (2, 3, 1, True)), INITIAL)


def test_a_long_history_with_one_stale_read_is_judged() -> None:
    count = 100_000
    invoke = np.arange(count, dtype=np.int64) * 10
    values = np.repeat(np.arange(1, count // 2 + 1), 2)  # each is written, then read
    history = History(invoke, invoke + 15, values, np.arange(count) % 2 == 0)
    assert judge(history, INITIAL).count == 0
    values[60_001] = values[40_000]
    assert judge(History(invoke, invoke + 15, values, history.is_write), INITIAL).count > 0
