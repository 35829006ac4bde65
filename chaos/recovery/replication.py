"""How far standbys were behind their primary, by what the primary said again and again. Pure.

Postgres has two answers of its own, and neither is enough. `replay_lag` is what the last change took that a
standby has confirmed: while a standby is silent it stays what it was. `pg_last_xact_replay_timestamp` grows
while nobody writes. So the time is counted from the primary's own positions: a standby that has replayed up
to a place is behind since the primary was first seen beyond that place. That is the least it can be, short
by one look; where `replay_lag` is more, that counts. Of a standby that the primary does not stream to any
more the last known place counts: it may have more than that, and cannot show it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.results.fault_records import ReplicationRecord


@dataclass(frozen=True)
class StandbyPosition:
    """What a primary knows of one standby."""

    replayed_bytes: int
    """Up to where it has replayed the write-ahead log, as it said last."""
    replay_lag_ns: int | None
    """How long the last change took until it was replayed there; None where it had nothing to do."""


@dataclass(frozen=True)
class PrimaryPosition:
    """What a primary said at one time, ns on CLOCK_MONOTONIC."""

    at_ns: int
    server: str
    log_bytes: int
    standbys: Mapping[str, StandbyPosition] = field(default_factory=dict)
    """Those that it streams to."""


@dataclass
class _Standby:
    samples: int = 0
    silent: int = 0
    lag_ns: int = 0
    lag_at_ns: int = 0
    backlog_bytes: int = 0


def replication(target: str, positions: Iterable[PrimaryPosition], start_ns: int) -> list[ReplicationRecord]:
    """One for each standby that a primary of the target streamed to; times from `start_ns`."""
    found: dict[str, _Standby] = {}
    server, times, places = "", list[int](), list[int]()
    replayed: dict[str, int] = {}
    for position in sorted(positions, key=lambda one: one.at_ns):
        if position.server != server:  # another primary: what the old one knew of its standbys is of no use
            server, times, places, replayed = position.server, [], [], {}
        times.append(position.at_ns)
        places.append(position.log_bytes)
        for name in {*replayed, *position.standbys}:
            said = position.standbys.get(name)
            if said is not None:
                replayed[name] = said.replayed_bytes
            standby = found.setdefault(name, _Standby())
            beyond = bisect_right(places, replayed[name])
            least_ns = position.at_ns - times[beyond] if beyond < len(times) else 0
            lag_ns = max(least_ns, (said.replay_lag_ns or 0) if said is not None else 0)
            standby.samples += 1
            standby.silent += said is None
            standby.backlog_bytes = max(standby.backlog_bytes, position.log_bytes - replayed[name])
            if lag_ns > standby.lag_ns:
                standby.lag_ns, standby.lag_at_ns = lag_ns, max(position.at_ns - start_ns, 0)
    return [
        ReplicationRecord(
            target=target,
            process=name,
            samples=one.samples,
            silent=one.silent,
            lag_max_ns=one.lag_ns,
            lag_max_at_ns=one.lag_at_ns,
            backlog_max_bytes=one.backlog_bytes,
        )
        for name, one in sorted(found.items())
    ]
