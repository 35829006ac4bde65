"""The same bytes of a server have the same outcome in every engine, and the same words."""

from __future__ import annotations

import pytest

from tests.parity import http_cases, postgres_cases, redis_cases
from tests.parity.cases import Case, Group
from tests.parity.parity_runs import ENGINES, Look

GROUPS = (*http_cases.GROUPS, *redis_cases.GROUPS, *postgres_cases.GROUPS)
CASES = [(group, case) for group in GROUPS for case in group.cases]
CUT = [(group, case) for group, case in CASES if group.are_cut]


def ids(cases: list[tuple[Group, Case]]) -> list[str]:
    return [f"{group.driver}-{case.name}" for group, case in cases]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("group", "case"), CASES, ids=ids(CASES))
def test_a_servers_bytes_come_to_the_same_in_every_engine(
    look: Look, group: Group, case: Case, engine: str
) -> None:
    check(look, group, case, engine, 0)


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
@pytest.mark.parametrize(("group", "case"), CUT, ids=ids(CUT))
def test_and_however_they_are_cut(look: Look, group: Group, case: Case, engine: str) -> None:
    check(look, group, case, engine, 1)


def check(look: Look, group: Group, case: Case, engine: str, cut: int) -> None:
    """Every arrival has the one outcome of its case, told in its words."""
    found = look(group, case, engine, cut).without_waiting()
    if group.may_cross:
        found = found.without_crossed()
    assert list(found.outcomes) == [case.outcome], found.summary
    assert found.texts <= set(case.words), found.summary
    assert bool(found.texts) == bool(case.words), found.summary
