"""Who took over from a primary that was hit: by the servers' own words, and only from another server."""

from __future__ import annotations

from bench.results.fault_records import FaultRecord, PromotionRecord, RoleRecord
from chaos.detectors.roles import names
from chaos.recovery.promotion import promotions

S = 1_000_000_000


def fault(number: int, at_s: float, process: str, role: str = "primary", **facts: object) -> FaultRecord:
    given = {"kind": "kill", "target": "sessions", "took_effect": True, **facts}
    at_ns = int(at_s * S)
    return FaultRecord.model_validate(
        {"number": number, "effective_ns": at_ns, "role": role, "process": process, **given}
    )


def says(process: str, role: str | None, at_s: float, target: str = "sessions") -> RoleRecord:
    return RoleRecord(target=target, process=process, role=role, at_ns=int(at_s * S))


START = [says("s#1", "primary", 0), says("s#2", "replica", 0), says("s#3", "replica", 0)]


def taken_over(
    roles: list[RoleRecord], *faults: FaultRecord, until_s: float = 60
) -> list[tuple[object, ...]]:
    found: list[PromotionRecord] = promotions(roles, faults, int(until_s * S))
    return [(one.fault, one.process, None if one.at_ns is None else one.at_ns / S) for one in found]


def test_the_first_other_server_that_says_it_is_the_primary_took_over() -> None:
    roles = [*START, says("s#1", None, 4.01), says("s#3", "primary", 5.5), says("s#2", "primary", 9)]
    assert taken_over(roles, fault(0, 4, "s#1")) == [(0, "s#3", 5.5)]


def test_the_word_of_the_server_that_was_hit_does_not_count() -> None:
    roles = [*START, says("s#1", None, 4.01), says("s#1", "primary", 4.3)]
    assert taken_over(roles, fault(0, 4, "s#1")) == [(0, None, None)]


def test_what_was_said_before_the_fault_does_not_count() -> None:
    roles = [*START, says("s#2", "primary", 3.9), says("s#3", "primary", 6)]
    assert taken_over(roles, fault(0, 4, "s#1")) == [(0, "s#3", 6)]


def test_each_fault_is_watched_until_the_next_one_on_a_primary() -> None:
    roles = [*START, says("s#2", "primary", 5), says("s#3", "primary", 12)]
    faults = (fault(0, 4, "s#1"), fault(1, 8, "s#3", "replica"), fault(2, 10, "s#2"))
    assert taken_over(roles, *faults) == [(0, "s#2", 5), (2, "s#3", 12)]
    late = [*START, says("s#2", "primary", 11)]
    assert taken_over(late, fault(0, 4, "s#1"), fault(1, 10, "s#1")) == [(0, None, None), (1, "s#2", 11)]


def test_another_target_and_a_fault_without_effect_say_nothing() -> None:
    roles = [*START, says("o#2", "primary", 5, "orders")]
    assert taken_over(roles, fault(0, 4, "s#1")) == [(0, None, None)]
    assert taken_over(roles, fault(0, 4, "s#1", took_effect=False)) == []


def test_events_are_about_a_primary_or_what_belongs_to_it() -> None:
    assert names("master sessions 127.0.0.1 6379", "sessions")
    assert names("slave 127.0.0.1:6380 127.0.0.1 6380 @ sessions 127.0.0.1 6379", "sessions")
    assert names("sessions 127.0.0.1 6379 127.0.0.1 6380", "sessions")  # of +switch-master
    assert not names("master orders 127.0.0.1 6379", "sessions")
    assert not names("slave sessions:6380 10.0.0.1 6380 @ orders 127.0.0.1 6379", "sessions")
