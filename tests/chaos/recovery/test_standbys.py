"""How far standbys were behind, by what their primaries said; and when there were two primaries."""

from __future__ import annotations

from bench.registry import PRIMARY, STANDBY
from bench.results.fault_records import RoleRecord
from chaos.recovery.promotion import splits
from chaos.recovery.replication import PrimaryPosition, StandbyPosition, replication

MS = 1_000_000


def position(
    at_ms: int, log_bytes: int, replayed: int | None, lag_ms: int | None = None, server: str = "db#1"
) -> PrimaryPosition:
    lag_ns = None if lag_ms is None else lag_ms * MS
    standbys = {} if replayed is None else {"db#2": StandbyPosition(replayed, lag_ns)}
    return PrimaryPosition(at_ms * MS, server, log_bytes, standbys)


def test_a_standby_that_has_replayed_all_is_not_behind_however_long_nobody_writes() -> None:
    (found,) = replication("db", [position(at, 100, 100) for at in range(0, 5000, 25)], 0)
    assert (found.lag_max_ns, found.backlog_max_bytes, found.silent) == (0, 0, 0)


def test_it_is_behind_since_the_primary_was_first_seen_beyond_what_it_has_replayed() -> None:
    said = [position(0, 100, 100), position(25, 200, 100), position(50, 300, 100), position(75, 300, 200)]
    (found,) = replication("db", said, 0)
    assert (found.lag_max_ns, found.lag_max_at_ns) == (25 * MS, 50 * MS)
    assert found.backlog_max_bytes == 200


def test_what_the_primary_measured_itself_counts_where_it_is_more() -> None:
    said = [position(0, 100, 100), position(25, 200, 200, lag_ms=40)]
    (found,) = replication("db", said, 0)
    assert (found.lag_max_ns, found.lag_max_at_ns) == (40 * MS, 25 * MS)


def test_of_one_that_is_streamed_to_no_more_the_last_known_place_counts() -> None:
    said = [position(0, 100, 100), *(position(at, 100 + at, None) for at in range(25, 1025, 25))]
    (found,) = replication("db", said, 0)
    assert found.silent == 40
    assert found.lag_max_ns == 975 * MS
    assert found.backlog_max_bytes == 1000


def test_what_the_old_primary_knew_is_not_held_against_the_standbys_of_the_new_one() -> None:
    said = [position(0, 900, 100), position(25, 900, None), position(50, 950, None, server="db#2")]
    (found,) = replication("db", said, 0)
    assert (found.process, found.samples) == ("db#2", 2)


def role(at_ms: int, process: str, said: str | None, target: str = "db") -> RoleRecord:
    return RoleRecord(target=target, process=process, role=said, at_ns=at_ms * MS)


def test_a_split_lasts_while_two_servers_say_that_they_are_the_primary() -> None:
    said = [
        role(0, "db#1", PRIMARY),
        role(0, "db#2", STANDBY),
        role(5, "other#1", PRIMARY, "other"),
        role(10, "db#2", PRIMARY),
        role(20, "db#1", None),
        role(30, "db#1", PRIMARY),
    ]
    assert splits(said, "db", 50 * MS) == [(10 * MS, 20 * MS), (30 * MS, 50 * MS)]
    assert splits(said, "other", 50 * MS) == []
    assert splits([], "db", 50 * MS) == []
