"""How lanes find their target, and come back to it after it was lost."""

import socket
import threading
from collections.abc import Callable

import pytest

from bench.core.errors import TargetError
from bench.core.outcome import Outcome
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from tests.engine.runs import plan_of, run
from tests.helpers.servers import Behaviour, LittleServer, Talk, answer
from tests.helpers.waiting import eventually

OK, ERROR, TIMEOUT = Outcome.OK, Outcome.ERROR, Outcome.TIMEOUT
RESET, REFUSED, DROPPED = Outcome.RESET, Outcome.REFUSED, Outcome.DROPPED
Serve = Callable[[Behaviour], LittleServer]


def test_a_host_of_two_addresses_is_reached_at_the_one_that_listens(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer())
    resolve = socket.getaddrinfo

    def both(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        if host != "localhost":
            return resolve(host, port, *args, **kwargs)  # type: ignore[arg-type]
        kind = (socket.SOCK_STREAM, 6, "")
        return [(socket.AF_INET6, *kind, ("::1", port, 0, 0)), (socket.AF_INET, *kind, ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    ran = run(plan_of(), Target("redis", "redis", "localhost", server.port))
    ran.assert_sums_hold()
    assert ran.count(OK) == 200


def test_lanes_come_back_although_something_else_answered_for_a_while(serve: Serve) -> None:
    """A proxy in front of a target that is away may greet us in a language of its own."""

    def log_in(talk: Talk) -> bool:
        if 4 <= talk.number < 40:
            talk.socket.recv(10)
            talk.send((b"HTTP/1.1 503 away\r\n\r\n", b"-LOADING data\r\n", b"")[talk.number % 3])
            return False
        return Talk.log_in(talk)

    server = serve(answer(), log_in)

    def drop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 50, "answers")
        server.drop_all()
        eventually(
            lambda: engine.live().connected == 4 and engine.live().reconnections == 4, "all lanes back"
        )

    ran = run(plan_of(({"name": "s", "for": "2s"},), deadline="60s"), server.target, drop)
    ran.assert_sums_hold()
    assert ran.count(OK, RESET) == 400
    assert ran.count(RESET) <= 4


def test_a_lane_that_is_lost_again_as_soon_as_it_is_back_comes_back_too(serve: Serve) -> None:
    """The first that gets through after an outage is closed at once, while the others still wait for it."""

    def log_in(talk: Talk) -> bool:
        if 4 <= talk.number < 8:
            return False  # away: hangs up on everybody
        back = Talk.log_in(talk)
        return back and talk.number != 8

    server = serve(answer(), log_in)

    def drop(engine: WireEngine) -> None:
        eventually(lambda: engine.live().outcomes[OK] > 50, "answers")
        server.drop_all()
        eventually(
            lambda: engine.live().connected == 4 and engine.live().reconnections >= 5, "all lanes back"
        )

    ran = run(plan_of(({"name": "s", "for": "2s"},), deadline="60s"), server.target, drop)
    ran.assert_sums_hold()
    assert ran.count(OK, RESET) == 400


def test_a_target_that_refuses_is_told_before_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TargetError, match="redis"):
        run(plan_of(), Target("redis", "redis", "127.0.0.1", port))


@pytest.mark.parametrize(
    "said", [b"-ERR max number of clients reached\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""]
)
def test_a_target_that_is_no_redis_is_told_before_the_run(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(4):
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(10)
                    connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(TargetError, match="redis"):
            run(plan_of(), Target("redis", "redis", "127.0.0.1", listener.getsockname()[1]))
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)
