"""A lane that lost its connection comes back, however long the target takes to log it in."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.connector import Connector
from bench.engine.wire.dialler import MOST, Dialler, PendingDials, Stream
from bench.engine.wire.engine import WireEngine
from bench.engine.wire.shard import Shard
from bench.stack.addresses import ATTEMPT_S, patience_s
from bench.stack.target_url import target_of
from tests.engine.runs import plan_of, run
from tests.helpers.servers import LittleServer, Talk, answer
from tests.helpers.waiting import eventually

OK = Outcome.OK
SLOW_S = 1.5
assert SLOW_S > ATTEMPT_S


def test_a_dial_has_as_long_as_the_slowest_log_in_and_the_deadline_ask_for() -> None:
    assert patience_s(0.0, 0.01) == ATTEMPT_S
    assert patience_s(2.0, 0.01) == 6.0
    assert patience_s(0.001, 4.0) == 16.0


def test_lanes_come_back_to_a_target_that_takes_longer_than_an_attempt_to_log_in(
    serve: Callable[..., LittleServer],
) -> None:
    """It was fast when the run began; each of its answers may take the deadline, so may those of a log-in."""

    def slowly(talk: Talk) -> bool:
        if talk.number >= 2:
            time.sleep(SLOW_S)
        return talk.log_in()

    server = serve(answer(), slowly)

    def drop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 5, "answers come")
        server.drop_all()
        eventually(lambda: engine.live().reconnections == 2, "both lanes come back")
        before = engine.live().outcomes[OK]
        eventually(lambda: engine.live().outcomes[OK] > before, "answers come again")
        engine.stop(at_once=True)

    plan = plan_of(({"name": "s", "for": "120s"},), lanes=2, rate="50/s", deadline="20s")
    ran = run(plan, server.target, drop)
    ran.assert_sums_hold()
    assert "log_in_given_up" not in [code for code, *_ in ran.result.anomalies]


def test_a_log_in_that_we_gave_up_while_others_were_answered_is_not_the_targets(
    serve: Callable[..., LittleServer],
) -> None:
    over = threading.Event()

    def never_again(talk: Talk) -> bool:
        return talk.log_in() if talk.number < 2 else bool(over.wait(60)) and False

    def one_goes(talk: Talk) -> None:
        for _ in talk.commands():
            talk.send(b"+OK\r\n")
            if talk.number == 0:
                talk.socket.shutdown(socket.SHUT_RDWR)

    def wait(engine: WireEngine) -> None:
        connector = engine._connector
        assert connector is not None
        eventually(lambda: connector.unfinished_count, "a log-in is given up")
        engine.stop(at_once=True)

    plan = plan_of(({"name": "s", "for": "120s"},), lanes=2, rate="200/s", deadline="500ms")
    try:
        ran = run(plan, serve(one_goes, never_again).target, wait)
    finally:
        over.set()
    ran.assert_sums_hold()
    (found,) = [anomaly for anomaly in ran.result.anomalies if anomaly[0] == "log_in_given_up"]
    assert found[1] == "invalid"
    assert "after 2.0 s although the target answered other lanes meanwhile" in found[2]


@pytest.mark.parametrize("subscribers", [0, 1])
def test_a_dial_that_is_lost_on_the_way_does_not_keep_the_next_one_waiting(
    serve: Callable[..., LittleServer], subscribers: int
) -> None:
    """Every driver's connections, and those of subscribers, are made here."""
    server = serve(answer())
    asked = 0

    async def connect(dial: Dialler, is_subscriber: bool) -> Stream:
        nonlocal asked
        assert is_subscriber == bool(subscribers)
        asked += 1
        if asked == 2:
            await asyncio.sleep(3600)
        return await dial()

    plan = plan_of(lanes=1)
    lanes = 0 if subscribers else 1
    shard = Shard(plan.workloads[0], duration_ns=plan.duration_ns, lanes=lanes, subscribers=subscribers)
    connector = Connector(server.target, [shard], connect, deadline_s=3600)
    try:
        connector.open_all()
        first = int(shard.tables.offers[0, layout.OFFERED])
        shard.tables.lanes[0, layout.LOST] = 1  # as the loop says it
        os.eventfd_write(shard.notify_fd, 1)
        eventually(lambda: int(shard.tables.offers[0, layout.OFFERED]) >> 32 == 2, "the third dial is let in")
        os.close(first & 0xFFFFFFFF)
        assert asked == 3
    finally:
        connector.close()
        shard.close()


def test_of_several_dials_the_first_is_taken_and_the_others_are_closed() -> None:
    made: list[socket.socket] = []

    async def dial(wait_s: float) -> Stream:
        await asyncio.sleep(wait_s)
        made.append(socket.socket())
        return Stream(made[-1])

    async def play() -> list[Stream]:
        taken: list[Stream] = []
        dials = PendingDials(taken.append)
        for _ in range(2 * MOST):
            dials.start(partial(dial, 3600))
        assert await dials.first(0.001) == []
        dials.start(partial(dial, 0))
        dials.start(partial(dial, 0))
        while not dials.is_over():
            assert await dials.first(60) == []
        assert len(taken) == 1
        dials.close()
        await asyncio.sleep(0.01)
        return taken

    [found] = asyncio.run(play())
    assert [one.fileno() >= 0 for one in made].count(True) == 1
    found.close()
    assert all(one.fileno() < 0 for one in made)


def test_a_lane_has_its_connection_before_other_dials_have_a_turn() -> None:
    order: list[str] = []

    async def dial(name: str) -> Stream:
        await asyncio.sleep(0)
        order.append(f"{name} is let in")
        return Stream(socket.socket())

    def lane(name: str) -> PendingDials:
        def hand_over(stream: Stream) -> None:
            order.append(f"{name} has it")
            stream.close()

        return PendingDials(hand_over)

    async def play() -> None:
        lanes = {name: lane(name) for name in "abc"}
        for name, dials in lanes.items():
            dials.start(partial(dial, name))
        for dials in lanes.values():
            await dials.first(60)

    asyncio.run(play())
    assert order == [f"{name} {what}" for name in "abc" for what in ("is let in", "has it")]


@pytest.mark.parametrize("path", ["", "server.sock"])
def test_a_port_where_nobody_listens_is_asked_cheaply_and_what_it_lets_in_is_the_next_dials(
    tmp_path: Path, path: str
) -> None:
    where = str(tmp_path / path) if path else ("127.0.0.1", 0)
    family = socket.AF_UNIX if path else socket.AF_INET
    with socket.socket(family) as server:
        server.bind(where)
        name = server.getsockname()
        dialler = Dialler(target_of(f"unix://{where}" if path else f"redis://127.0.0.1:{name[1]}"))
        assert not dialler.is_refused()  # nothing was refused yet

        async def play() -> None:
            with pytest.raises(ConnectionRefusedError):
                await dialler()
            assert dialler.is_refused()
            server.listen()
            assert not dialler.is_refused()
            stream = await dialler()
            opened, _ = server.accept()
            opened.close()
            assert await stream.receive() == b""
            stream.close()
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()

        asyncio.run(play())
        dialler.close()
