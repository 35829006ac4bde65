"""A target that never came back, queries that are none: said with the reason, never a silent 0."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from bench.core.errors import ScenarioError, TargetError
from bench.plan.compile import compile_plan
from bench.results.fault_records import IntegrityRecord
from bench.results.logs import OPERATION
from bench.results.run_record import RunRecord
from bench.scenario.model import Scenario
from bench.stack.embedded import EmbeddedStack
from bench.stack.probes.postgres import conninfo
from bench.stack.target import Target
from chaos.integrity import check
from chaos.integrity.check import NotYet, Unreadable, patiently
from chaos.integrity.checks import Integrity
from chaos.integrity.readers import is_arrival

GONE = Target("redis", "redis", "127.0.0.1", 1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "ANSWER_S", 0.2)
    monkeypatch.setattr(check, "LEAST_S", 0.1)
    monkeypatch.setattr(check, "WHOLE_S", 0.5)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack.targets()["postgres"]


def checks_of(target: Target, *checks: dict[str, Any], **workload: Any) -> Integrity:
    scenario = Scenario.model_validate(
        {
            "scenario": "kept",
            "purpose": "what is acknowledged is kept",
            "workloads": [
                {
                    "name": "writes",
                    "target": target.name,
                    "driver": target.name,
                    "arrivals": "constant",
                    "rate": "10/s",
                    **workload,
                }
            ],
            "phases": [{"name": "steady", "for": "1s"}],
            "integrity": list(checks),
        }
    )
    targets = {target.name: target}
    return Integrity(scenario, compile_plan(scenario), targets, targets)


def redis_writes(*checks: dict[str, Any]) -> Integrity:
    operations = {"add": {"command": ["SET", "k:{run}:{seq}", "{seq}"]}}
    return checks_of(GONE, *checks, operations=operations)


def finished(integrity: Integrity, folder: Path, count: int = 3, **more: Any) -> list[IntegrityRecord]:
    """What the checks found after a run of so many arrivals, all of them acknowledged."""
    operations = np.zeros(count, OPERATION)
    operations["arrival"] = np.arange(count)
    np.save(folder / "operations.npy", operations)
    record = {
        "started": {"run_label": 1, "monotonic_ns": 0},
        "anomalies": [],
        "faults": [],
        "workloads": [{"name": "writes", "counters": {}, "counts": []}],
        **more,
    }
    records, _ = integrity.finish(RunRecord.model_validate(record), folder)
    return records


WRITES = {"acknowledged_writes": "writes"}


def test_a_target_that_never_came_back_leaves_the_check_unmade(impatient: None, tmp_path: Path) -> None:
    (entry,) = finished(redis_writes(WRITES), tmp_path)
    assert (entry.acknowledged, entry.lost, entry.unexpected) == (None, None, None)
    assert entry.inconclusive.startswith("not checked: no connection to redis")
    assert entry.inconclusive.endswith("for 0.2 s")


def test_several_checks_of_a_dead_target_wait_for_it_together(impatient: None, tmp_path: Path) -> None:
    named = WRITES | {"operation": "add"}
    first, second = finished(redis_writes(WRITES, named), tmp_path)
    assert first.inconclusive.endswith("for 0.2 s")
    assert second.inconclusive.endswith("for 0.1 s")


def test_a_log_that_was_full_cannot_say_what_was_attempted(tmp_path: Path) -> None:
    full = [{"code": "operation_log_full"}]
    (entry,) = finished(redis_writes(WRITES), tmp_path, anomalies=full)
    assert entry.lost is None
    assert "the operation log was full" in entry.inconclusive


def test_a_run_that_wrote_nothing_says_nothing(tmp_path: Path) -> None:
    (entry,) = finished(redis_writes(WRITES), tmp_path, count=0)
    assert entry.inconclusive == "not checked: nothing was written"


def test_a_check_that_fails_itself_keeps_the_run(tmp_path: Path) -> None:
    (entry,) = finished(redis_writes(WRITES), tmp_path, started={})
    assert entry.inconclusive == "the check itself failed: AssertionError: the run has no label"


def test_registers_cannot_be_made_without_a_target(impatient: None) -> None:
    integrity = checks_of(
        Target("postgres", "postgres", "127.0.0.1", 1),
        {"registers": "writes"},
        operations={"add": {"sql": "SELECT 1"}},
    )
    with pytest.raises(TargetError, match="registers to be made"):
        integrity.prepare()
    integrity.close()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ("SELEKT id FROM ledger WHERE run = {run}", "syntax error"),
        ("SELECT id FROM nowhere WHERE run = {run}", "does not exist"),
        ("DROP TABLE pg_class -- {run}", "syntax error"),
    ],
)
def test_a_query_that_is_none_is_refused_before_any_load(found: str, said: str, postgres: Target) -> None:
    integrity = checks_of(
        postgres,
        {"acknowledged_writes": "writes", "found": found},
        operations={"add": {"sql": "INSERT INTO ledger VALUES ({run}, {seq})"}},
    )
    with pytest.raises(ScenarioError, match=said):
        integrity.prepare()


def test_a_table_that_setup_makes_may_be_missing_before_it_and_not_behind_it(postgres: Target) -> None:
    integrity = checks_of(
        postgres,
        {"acknowledged_writes": "writes", "found": "SELECT id FROM made_by_setup WHERE run = {run}"},
        operations={"add": {"sql": "INSERT INTO made_by_setup VALUES ({run}, {seq})"}},
        setup=["CREATE TABLE made_by_setup (run bigint, id bigint)"],
    )
    integrity.prepare()
    with pytest.raises(ScenarioError, match="does not exist"):
        integrity.rehearse()
    with psycopg.connect(conninfo(postgres), autocommit=True) as admin:
        admin.execute("CREATE TABLE made_by_setup (run bigint, id bigint)")
        integrity.rehearse()
        admin.execute("DROP TABLE made_by_setup")


@pytest.mark.parametrize(
    ("found", "lost", "unexpected"),
    [
        ("SELECT generate_series(0, 2) WHERE {run} = 1", 0, 0),
        ("SELECT generate_series(0, 1) WHERE {run} = 1", 1, 0),
        ("SELECT unnest(ARRAY[0, 1, 2, -7, null]) WHERE {run} = 1", 0, 2),
        ("SELECT 'x' WHERE {run} = 1", 3, 1),
        ("SELECT 1.5 WHERE {run} = 1", 3, 1),
    ],
)
def test_what_a_query_gives_is_compared(
    found: str, lost: int, unexpected: int, postgres: Target, tmp_path: Path
) -> None:
    integrity = checks_of(
        postgres,
        {"acknowledged_writes": "writes", "found": found},
        operations={"add": {"sql": "INSERT INTO ledger VALUES ({run}, {seq})"}},
    )
    integrity.prepare()
    (entry,) = finished(integrity, tmp_path)
    assert (entry.lost, entry.unexpected, entry.inconclusive) == (lost, unexpected, None)


def test_a_query_of_two_columns_cannot_be_compared(postgres: Target, tmp_path: Path) -> None:
    integrity = checks_of(
        postgres,
        {"acknowledged_writes": "writes", "found": "SELECT 1, {run}"},
        operations={"add": {"sql": "INSERT INTO ledger VALUES ({run}, {seq})"}},
    )
    (entry,) = finished(integrity, tmp_path)
    assert "2 columns instead of one" in entry.inconclusive


@pytest.mark.parametrize("value", [None, True, -1, 1.5, "7", float("nan"), 2**63])
def test_not_everything_is_the_number_of_an_arrival(value: object) -> None:
    assert not is_arrival(value)


def never_yet() -> None:
    raise NotYet("it is starting")


def refused() -> None:
    raise Unreadable("it has forgotten all")


@pytest.mark.parametrize(("read", "said"), [(never_yet, "it is starting, for"), (refused, "forgotten all")])
def test_a_reading_ends_with_its_reason(read: Callable[[], None], said: str, impatient: None) -> None:
    with pytest.raises(Unreadable, match=said):
        patiently(read)


def test_a_client_that_does_not_come_back_is_left_behind(impatient: None) -> None:
    import threading

    release = threading.Event()
    with pytest.raises(Unreadable, match=r"not read to its end within 0\.5 s"):
        patiently(release.wait)
    release.set()


def test_a_reading_is_tried_until_the_target_serves(impatient: None) -> None:
    answers = iter([NotYet("loading"), NotYet("loading"), 7])

    def read() -> int:
        answer = next(answers)
        if isinstance(answer, NotYet):
            raise answer
        return answer

    assert patiently(read) == 7
