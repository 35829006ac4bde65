"""A service that does not answer holds up nobody, and is asked again when it is back."""

import threading
import time

from bench.resources import watched as asker
from bench.resources.services.postgres import postgres_columns
from bench.resources.services.redis import redis_columns
from bench.resources.watched import Poller


class Slow:
    """Answers when it is let go, or gives up when it is aborted."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.is_asked = threading.Event()
        self.asked = 0
        self.aborted = 0

    def ask(self) -> dict[str, float]:
        self.asked += 1
        self.is_asked.set()
        self.go.wait(60)
        if self.aborted:
            raise OSError("broken off")
        return {"clients": float(self.asked)}

    def abort(self) -> None:
        self.aborted += 1
        self.go.set()


def test_an_answer_is_taken_once() -> None:
    service = Slow()
    service.go.set()
    found = Poller("slow", service)
    found.begin()
    assert found.answer(60) == {"clients": 1.0}
    assert found.answer(0) == {}
    found.close()


def test_a_question_without_answer_is_not_asked_twice_and_delays_only_as_long_as_is_waited_for() -> None:
    service = Slow()
    found = Poller("slow", service)
    found.begin()
    assert found.answer(0.01) == {}
    found.begin()
    assert found.answer(0) == {}
    assert service.asked == 1
    service.go.set()
    assert found.answer(60) == {"clients": 1.0}
    found.close()


def test_a_question_without_answer_is_broken_off_at_last(monkeypatch) -> None:
    monkeypatch.setattr(asker, "GIVEN_UP_S", 0.0)
    service = Slow()
    found = Poller("slow", service)
    found.begin()
    limit = time.monotonic() + 60
    while not service.aborted:
        found.begin()
        assert time.monotonic() < limit
    assert found.answer(60) == {}
    found.close()


def test_closing_breaks_off_what_hangs() -> None:
    service = Slow()
    found = Poller("slow", service)
    found.begin()
    assert service.is_asked.wait(60)
    found.close(within_s=0.01)
    assert service.aborted == 1


def test_the_figures_of_a_redis_are_those_of_its_info() -> None:
    text = (
        "# Memory\r\nused_memory:1704016\r\nused_memory_rss:7208960\r\nmem_fragmentation_ratio:4.18\r\n"
        "# Clients\r\nconnected_clients:3\r\n# Stats\r\nevicted_keys:7\r\nmaxmemory:x\r\n"
    )
    assert redis_columns(text) == {
        "used_memory_bytes": 1704016,
        "used_memory_rss_bytes": 7208960,
        "fragmentation_ratio": 4.18,
        "clients": 2,
        "evicted_keys": 7,
    }
    assert redis_columns("None\nused_memory:many\n") == {}


def test_the_figures_of_a_postgres_count_sessions_by_state_and_waits() -> None:
    sessions = [
        ("active", "Lock", 2),
        ("active", None, 3),
        ("active", "Timeout", 1),
        ("idle", "Client", 10),
        ("idle in transaction", "Client", 1),
        ("idle in transaction (aborted)", "Client", 1),
        ("fastpath function call", None, 1),
    ]
    found = postgres_columns(sessions, (100, 5, 1, 4096, 900, 100))
    assert (found["active"], found["idle"], found["idle_in_transaction"], found["other_sessions"]) == (
        6,
        10,
        2,
        1,
    )
    assert (found["waiting_lock"], found["waiting_other"], found["waiting_client"]) == (2, 1, 0)
    assert (found["commits"], found["rollbacks"], found["deadlocks"]) == (100, 5, 1)
    assert found["buffer_hit_ratio"] == 0.9
    assert "buffer_hit_ratio" not in postgres_columns([], (0, 0, 0, 0, 0, 0))
    assert "commits" not in postgres_columns([], None)


def test_a_text_of_the_server_cannot_pass_for_another_line() -> None:
    assert redis_columns("config_file:/a\u2028used_memory:5\r\nused_memory:7\r\n") == redis_columns(
        "used_memory:7"
    )
