"""What services report of stalls and waits: who is named, since when, and that no data is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.resources.services.api import PAUSED_S, PAUSES, ApiMetrics, counter
from bench.resources.services.noticed import LONGEST_TEXT, MOST_KEPT, Noticed, Notices, outline
from bench.resources.services.postgres import Session, sessions_noticed
from bench.resources.services.redis import RedisEvents, command_name, commands_of, fields_of

MS = 1_000_000
QUIET = {"total_forks": "3", "latest_fork_usec": "900", "rdb_bgsave_in_progress": "0"}


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        (
            "SELECT * FROM t1 WHERE name = 'O''Brien' AND id = 42",
            "SELECT * FROM t1 WHERE name = ? AND id = ?",
        ),
        (
            "SELECT E'a\\nb', 'c:\\d', x'ff', b FROM t",
            "SELECT ?, ?, ?, b FROM t",
        ),
        ("UPDATE a SET b = E'it\\'s', c = -1.5e3\n WHERE d = $1", "UPDATE a SET b = ?"),
        ("DO $body$ SELECT 'secret' $body$", "DO ?"),
        ("SELECT 1 -- 'secret\n + 2 /* 'x' */", "SELECT ? + ?"),
        ("ALTER ROLE x PASSWORD 'cut sho", "ALTER ROLE x PASSWORD ?"),
        ('SELECT "Column 1" FROM "T"', 'SELECT "Column ?" FROM "T"'),
        ("SELECT $$cut", "SELECT ?"),
    ],
)
def test_of_a_statement_no_literal_is_kept(statement: str, shown: str) -> None:
    assert outline(statement) == shown


@given(st.text(alphabet="a'\\-/* $E\n", max_size=40), st.text(alphabet="b'\\-/* $E\n", max_size=40))
def test_no_quoted_text_survives_and_the_outline_is_bounded(one: str, other: str) -> None:
    one, other = one.replace("'", "''"), other.replace("'", "''")
    shown = outline(f"INSERT INTO t VALUES ('marker{one}marker', 'marker{other}marker')")
    assert "marker" not in shown
    assert len(shown) <= LONGEST_TEXT


def test_a_fork_between_two_looks_is_reported_with_what_it_took() -> None:
    events = RedisEvents()
    events.look(100 * MS, QUIET, [], [])
    events.look(200 * MS, QUIET, [], [])
    assert events.notices.take() == []
    forked = {**QUIET, "total_forks": "4", "latest_fork_usec": "30000", "rdb_bgsave_in_progress": "1"}
    events.look(300 * MS, forked, [], [])
    fork, snapshot = events.notices.take()
    assert (fork.kind, fork.since_ns, fork.at_ns, fork.took_ns) == ("fork", 200 * MS, 300 * MS, 30 * MS)
    assert (snapshot.kind, snapshot.text, snapshot.since_ns) == ("snapshot", "BGSAVE", 200 * MS)


def test_entries_of_the_slow_log_are_reported_once_and_only_those_of_the_run() -> None:
    old, new = [7, 1700000000, 20_000, ["SET", "key", "secret"]], [8, 1700000001, 50_000, ["KEYS", "*"]]
    events = RedisEvents()
    events.look(100 * MS, {}, [old], [])
    events.look(200 * MS, {}, [new, old], [])
    events.look(300 * MS, {}, [new, old], [])
    (slow,) = events.notices.take()
    assert (slow.kind, slow.text, slow.since_ns, slow.took_ns) == ("slow_command", "KEYS", 100 * MS, 50 * MS)


def test_a_latency_event_is_reported_when_it_is_new() -> None:
    events = RedisEvents()
    events.look(100 * MS, {}, [], [["aof-fsync-always", 1, 30, 30]])
    events.look(200 * MS, {}, [], [["aof-fsync-always", 1, 30, 30], ["fork", 2, 9, 9]])
    events.look(300 * MS, {}, [], [["aof-fsync-always", 3, 40, 40]])
    (event,) = events.notices.take()
    assert (event.text, event.took_ns) == ("aof-fsync-always", 40 * MS)


def test_a_command_that_has_most_of_the_thread_is_reported_with_its_share() -> None:
    events = RedisEvents()
    events.look(0, fields_of("cmdstat_get:calls=10,usec=20\r\ncmdstat_keys:calls=1,usec=100"), [], [])
    events.look(
        100 * MS, fields_of("cmdstat_get:calls=90,usec=180\r\ncmdstat_keys:calls=3,usec=40100"), [], []
    )
    (busy,) = events.notices.take()
    assert (busy.text, busy.count, busy.took_ns, busy.share) == ("KEYS", 2, 20 * MS, 0.4)


def test_a_command_is_named_without_its_arguments() -> None:
    assert command_name(["set", "user:1", "secret"]) == "SET"
    assert command_name(["config", "get", "requirepass"]) == "CONFIG GET"
    assert command_name([]) == "?"
    assert commands_of({"cmdstat_config|get": "calls=1,usec=5", "uptime": "3"}) == {"config get": (1, 5)}


def test_lock_waits_are_one_notice_with_the_session_that_holds_the_lock() -> None:
    waiting = [
        Session(number, "Lock", "transactionid", "UPDATE a SET b = 1", 0.2 * number) for number in (1, 2)
    ]
    (noticed,) = sessions_noticed(
        1000 * MS, waiting, [(9, "idle in transaction", "UPDATE a SET b = 2 WHERE c = 'secret'")]
    )
    assert (noticed.kind, noticed.count, noticed.since_ns) == ("lock_wait", 2, 600 * MS)
    assert noticed.text == "idle in transaction: UPDATE a SET b = ? WHERE c = ?"


def test_other_waits_are_counted_by_event_and_long_statements_by_themselves() -> None:
    found = sessions_noticed(
        1000 * MS,
        [
            Session(1, "IO", "WALSync", "COMMIT", 0.01),
            Session(2, "IO", "WALSync", "COMMIT", 0.03),
            Session(3, "", "", "SELECT count(*) FROM t WHERE x = 5", 0.5),
            Session(4, "Client", "ClientRead", "COPY t FROM STDIN", 3.0),
        ],
        [],
    )
    assert {(one.kind, one.text, one.count) for one in found} == {
        ("wait", "IO WALSync", 2),
        ("slow_statement", "SELECT count(*) FROM t WHERE x = ?", 1),
    }


def test_pauses_of_the_collector_are_what_two_looks_differ_by() -> None:
    class Told(ApiMetrics):
        def __init__(self) -> None:
            self._before = None
            self.notices = Notices()

    def text(pauses: int, seconds: float) -> str:
        return f'{PAUSES}{{generation="2"}} {pauses}\n{PAUSED_S}{{generation="2"}} {seconds}\n'

    told = Told()
    for at_ns, answer in ((0, text(1, 0.5)), (500 * MS, text(1, 0.5)), (1000 * MS, text(2, 0.62))):
        told._look(at_ns, answer)
    (pause,) = told.notices.take()
    assert (pause.kind, pause.since_ns, pause.count) == ("gc_pause", 500 * MS, 1)
    assert pause.took_ns == pytest.approx(120 * MS)
    assert counter('# HELP x 1\nx 2\nx_more 5\nx{a="b"} 3.5\n', "x") == 5.5


def test_what_is_left_out_is_said_once_and_notices_are_bounded() -> None:
    notices = Notices()
    for _ in range(3):
        notices.leave_out("SLOWLOG", "NOPERM")
    for number in range(2 * MOST_KEPT):
        notices.add(Noticed(0, number, "fork"))
    kept = notices.take()
    assert [one.text for one in kept if one.kind == "left_out"] == ["SLOWLOG: NOPERM"]
    assert len(kept) == MOST_KEPT
    assert notices.take() == []
    assert notices.is_left_out("SLOWLOG")


def test_what_was_over_before_the_run_is_none_of_it() -> None:
    assert Noticed(0, 50, "fork").record("redis", 100) is None
    record = Noticed(50, 150, "fork", took_ns=7).record("redis", 100)
    assert record is not None
    assert (record.since_ns, record.at_ns, record.took_ns, record.target) == (0, 50, 7, "redis")
