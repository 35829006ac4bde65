"""One seed, one load: what the server receives is decided by the plan."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, answer

Serve = Callable[[Behaviour], LittleServer]
MIX = {"set": {"command": ["SET", "{key}", "{value}"], "weight": 3}, "get": {"command": ["GET", "{key}"]}}
PHASES = ({"name": "a", "for": "400ms", "load": {"from": "10%", "to": "200%"}}, {"name": "b", "for": "400ms"})


def served(serve: Serve, seed: int = 1, **given: Any) -> LittleServer:
    """A server that got the whole plan."""
    server = serve(answer())
    plan = plan_of(PHASES, seed=seed, operations=MIX, deadline="60s", **{"rate": "500/s"} | given)
    ran = run(plan, server.target)
    ran.assert_sums_hold()
    assert ran.result.counters["bytes_sent"] == sum(map(len, server.streams))
    return server


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_two_runs_with_one_seed_send_the_same_stream(serve: Serve, arrivals: str) -> None:
    one, other = (served(serve, lanes=1, arrivals=arrivals).streams for _ in range(2))
    assert one == other
    assert len(one[0]) > 10_000


def test_a_pipelined_lane_sends_the_same_stream_too(serve: Serve) -> None:
    assert served(serve, lanes=1, pipeline=8).streams == served(serve, lanes=1).streams


def test_another_seed_sends_another_stream(serve: Serve) -> None:
    assert served(serve, 1, lanes=1).streams != served(serve, 2, lanes=1).streams


def test_lanes_and_threads_share_out_the_same_requests(serve: Serve) -> None:
    single = served(serve, lanes=1, arrivals="poisson").commands
    assert len(single) > 300
    for given in ({"lanes": 8}, {"lanes": 9, "threads": 3}, {"lanes": 4, "threads": 2, "pipeline": 5}):
        assert served(serve, arrivals="poisson", **given).commands == single


def test_a_request_is_what_the_scenario_says(serve: Serve) -> None:
    server = serve(answer())
    operations = {"put": {"command": ["SET", "{key}-{seq}", "a{value}b", "EX", "9"]}}
    keys = {"count": 101, "prefix": "p:", "distribution": "sequential"}
    run(plan_of(rate="150/s", lanes=1, operations=operations, keys=keys, value={"bytes": 20}), server.target)
    requests = server.streams[0].split(b"*5\r\n")[1:]
    assert len(requests) == 150
    for number, request in enumerate(requests):
        lines = request.split(b"\r\n")
        assert lines[1] == b"SET"
        assert lines[2:4] == [b"$18", b"p:%03d-%012d" % (number % 101, number)]
        assert lines[4] == b"$22"
        assert lines[5].startswith(b"a%012d:" % number)
        assert lines[6:10] == [b"$2", b"EX", b"$1", b"9"]


def test_a_short_value_is_the_last_digits_of_its_number(serve: Serve) -> None:
    server = serve(answer())
    run(plan_of(rate="150/s", lanes=1, value={"bytes": 2}), server.target)
    values = [request.split(b"\r\n")[5] for request in server.streams[0].split(b"*3\r\n")[1:]]
    assert values == [b"%02d" % (number % 100) for number in range(150)]
