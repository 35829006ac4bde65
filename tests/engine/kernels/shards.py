"""Shards of a plan whose lanes end in this process."""

import socket

from bench.engine.wire import layout
from bench.engine.wire.shard import Shard
from tests.engine.runs import plan_of


def shard_of(**workload: object) -> Shard:
    plan = plan_of(**workload)
    given = plan.workloads[0]
    lanes, subscribers = given.workload.lanes, given.workload.subscribers or 0
    return Shard(given, duration_ns=plan.duration_ns, number=0, count=1, lanes=lanes, subscribers=subscribers)


def connected(shard: Shard) -> list[socket.socket]:
    """Every lane with a socket; returns the far ends."""
    far_ends = []
    for lane in range(shard.lanes):
        near, far = socket.socketpair()
        near.setblocking(False)
        shard.offer(lane, near.detach())
        far_ends.append(far)
    return far_ends


def close(shard: Shard, far_ends: list[socket.socket]) -> None:
    for lane in range(shard.lanes):
        socket.socket(fileno=int(shard.tables.lanes[lane, layout.FD])).close()
    for far in far_ends:
        far.close()
    shard.close()
