"""The scanner of PostgreSQL replies: any bytes, cut anywhere."""

import itertools
import struct
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.protocols import postgres, state
from bench.protocols.postgres import is_fresh, pack_sqlstate
from tests.protocols.postgres_messages import (
    BOUND,
    CHANGED,
    COPY_IN,
    COPY_OUT,
    FAILED,
    IN_TRANSACTION,
    LOGIN,
    NOTICE,
    NOTIFIED,
    READY,
    RECORDED,
    REPLIES,
    SELECTED,
    TERMINATED,
    Reply,
    error,
    fields,
    message,
    read_replies,
    row,
)
from tests.protocols.scanning import Feed, plain_outcomes, postgres_feed, spoiled_cases

pytestmark = pytest.mark.timeout(300)

CUTS = st.lists(st.integers(0, 10_000), max_size=30)
PLAIN, ERROR = state.PLAIN_REPLY, state.ERROR_REPLY
I, T, E = b"ITE"  # noqa: E741 - the letters of the protocol
WITHOUT_BODY = "123Ins"


def plain(rows: int, transaction: int = I) -> Reply:
    return Reply("", PLAIN, 0, rows, transaction, state.COMPLETE)


def failed(text: str, transaction: int = I, rows: int = 0) -> Reply:
    code = text.partition(" ")[0]
    return Reply(text, ERROR, 0 if "?" in code else pack_sqlstate(code), rows, transaction, state.COMPLETE)


def replies_of(data: bytes, cuts: list[int] | None = None) -> list[Reply]:
    feed = postgres_feed().feed_all(data, cuts or [])
    assert not feed.is_broken
    assert feed.used == len(data)
    return [Reply(*reply) for reply in feed.replies]


def is_broken(data: bytes) -> bool:
    return postgres_feed().feed_all(data, []).is_broken


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("simple select", plain(1)),
        ("create", plain(0)),
        ("parse, describe", plain(0)),
        ("prepared select", plain(1)),
        ("prepared select, no row", plain(0)),
        ("described portal", plain(1)),
        ("suspended", plain(2)),
        ("no data", plain(0)),
        (
            "unique violation",
            failed('23505 duplicate key value violates unique constraint "account_pkey"'),
        ),
        ("closed", plain(0)),
        ("empty query", plain(0)),
        ("several statements", plain(5)),
        ("begin", plain(0, T)),
        ("error in a transaction", failed('42P01 relation "nowhere" does not exist', E)),
        (
            "failed transaction",
            failed(
                "25P02 current transaction is aborted, commands ignored until end of transaction block", E
            ),
        ),
        ("notice", plain(0)),
        ("parameter status", plain(0)),
        ("notification", plain(0)),
        ("only sync", plain(0)),
    ],
)
def test_a_recorded_reply_is_one_reply_wherever_it_is_cut(name: str, expected: Reply) -> None:
    data = RECORDED[name]
    assert replies_of(data) == [expected] == read_replies(data)
    assert replies_of(data, list(range(len(data)))) == [expected]
    for cut in range(len(data)):
        assert replies_of(data, [cut]) == [expected]
        short = postgres_feed()
        short.feed(data[:cut])
        assert (short.replies, short.is_broken) == ([], False)


def test_a_dialogue_cut_at_any_place_is_the_same_dialogue() -> None:
    dialogue = b"".join(RECORDED.values())
    whole = replies_of(dialogue)
    assert whole == read_replies(dialogue)
    assert len(whole) == len(RECORDED)
    assert replies_of(dialogue, list(range(len(dialogue)))) == whole
    for cut in range(len(dialogue)):
        assert replies_of(dialogue, [cut]) == whole


@settings(max_examples=200, deadline=None)
@given(st.lists(REPLIES, min_size=1, max_size=4).map(b"".join), CUTS)
def test_random_replies_are_read_as_by_a_plain_reader(data: bytes, cuts: list[int]) -> None:
    assert replies_of(data, cuts) == read_replies(data)


@settings(max_examples=40, deadline=None)
@given(REPLIES)
def test_a_random_reply_may_be_split_at_every_place(data: bytes) -> None:
    expected = read_replies(data)
    for cut in range(len(data) + 1):
        assert replies_of(data, [cut]) == expected


@pytest.mark.parametrize("kind", WITHOUT_BODY)
def test_a_message_without_body_has_one_length(kind: str) -> None:
    assert not is_broken(message(kind.encode()) + READY)
    for length in (0, 3, 5, 8):
        assert is_broken(kind.encode() + struct.pack(">I", length))


@pytest.mark.parametrize("kind", "DCTtEKNSAZ")
@pytest.mark.parametrize("length", [0, 1, 3, 4, (1 << 30) + 1, 1 << 31, (1 << 32) - 1])
def test_an_impossible_length_is_broken(kind: str, length: int) -> None:
    assert is_broken(kind.encode() + struct.pack(">I", length))


@pytest.mark.parametrize("status", [b"i", b"\0", b"X"])
def test_ready_for_query_has_one_of_three_states(status: bytes) -> None:
    assert is_broken(message(b"Z", status))
    assert is_broken(b"Z" + struct.pack(">I", 6) + b"I")
    assert [reply.transaction for reply in replies_of(READY + IN_TRANSACTION + FAILED)] == [I, T, E]


@pytest.mark.parametrize(
    "data",
    [
        COPY_OUT,
        COPY_IN,
        message(b"W", b"\0\0\0"),
        LOGIN,
        message(b"v", struct.pack(">II", 196610, 0)),
        message(b"d", b"1\tx\n"),
        message(b"c"),
        message(b"V", struct.pack(">I", 0)),
        message(b"Q", b"SELECT 1\0"),
        b"\0",
        b"\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR unknown command\r\n",
    ],
)
def test_what_a_lane_cannot_answer_is_broken_at_its_first_byte(data: bytes) -> None:
    feed = postgres_feed().feed_all(BOUND + data + READY, [])
    assert feed.is_broken
    assert feed.replies == []
    assert feed.used == len(BOUND) + 1


def test_the_key_of_a_session_may_be_longer_in_the_newer_protocol() -> None:
    assert replies_of(message(b"K", bytes(8)) + message(b"K", bytes(4 + 256)) + READY) == [plain(0)]


def test_asynchronous_messages_are_no_reply_and_leave_the_state_fresh() -> None:
    feed = postgres_feed()
    for between in (NOTICE, CHANGED, NOTIFIED, NOTICE + CHANGED):
        for cut in range(len(between) + 1):
            feed.feed_all(between, [cut])
            assert (feed.replies, feed.is_broken) == ([], False)
            assert is_fresh(feed.state)
    feed.feed(BOUND[:1])
    assert not is_fresh(feed.state)
    feed.feed(BOUND[1:] + NOTICE + SELECTED + NOTIFIED)
    assert not is_fresh(feed.state)
    feed.feed(CHANGED + READY)
    assert feed.replies == [plain(0)]
    assert is_fresh(feed.state)


@pytest.mark.parametrize("kind", "123InsDCTtEKZ")
def test_every_answer_ends_freshness(kind: str) -> None:
    feed = postgres_feed()
    feed.feed(kind.encode())
    assert not is_fresh(feed.state)


def test_a_server_that_gives_up_is_heard_though_its_reply_never_ends() -> None:
    for cut in range(len(TERMINATED)):
        feed = postgres_feed().feed_all(TERMINATED, [cut])
        assert feed.replies == []
        text, kind, code, rows, _, result = feed.present
        assert (text, kind, rows) == ("57P01 terminating connection due to administrator command", ERROR, 1)
        assert code == pack_sqlstate("57P01")
        assert result == state.MORE


def test_the_fields_of_an_error_may_come_in_any_order() -> None:
    given = (b"SERROR", b"C40001", b"Mcould not serialize access", b"Dbecause", b"Hretry")
    for order in itertools.permutations(given):
        data = error(*order) + READY
        assert replies_of(data) == [failed("40001 could not serialize access")]
        assert replies_of(data, list(range(len(data)))) == [failed("40001 could not serialize access")]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((b"SERROR", b"Mno code"), "????? no code"),
        ((b"C", b"Mempty code"), "????? empty code"),
        ((b"SERROR", b"C42601"), "42601"),
        ((b"C42601", b"M"), "42601"),
        ((b"SERROR",), "?????"),
        ((), "?????"),
        ((b"C42601", b"Mone", b"C40001", b"Mtwo"), "42601 one"),
        ((b"C42601+", b"Mlong code"), "42601 long code"),
        ((b"C42601", b"M" + b"y" * 200), "42601 " + "y" * (state.TEXT_BYTES - 6)),
        ((b"M" + b"y" * 200, b"C42601"), "42601 " + "y" * (state.TEXT_BYTES - 6)),
    ],
)
def test_an_error_lacking_a_field_or_too_long_is_told_all_the_same(given: tuple[bytes], text: str) -> None:
    data = error(*given) + READY
    assert replies_of(data) == [failed(text)]
    for cut in range(len(data)):
        assert replies_of(data, [cut]) == [failed(text)]


def test_of_several_errors_in_one_reply_the_first_is_kept() -> None:
    data = row(b"1") + error(b"C42601", b"Mone") + error(b"Mtwo", b"C40001") + error() + FAILED
    assert replies_of(data) == [failed("42601 one", E, rows=1)]


def test_the_texts_of_two_replies_do_not_mix() -> None:
    first, second = error(b"C42601", b"Ma long text of the first"), error(b"Mb")
    assert replies_of(first + READY + second + READY + READY) == [
        failed("42601 a long text of the first"),
        failed("????? b"),
        plain(0),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"C42601",
        b"C42601\0",
        b"C42601\0Mtext",
        b"C42601\0Mtext\0",
        fields(b"C42601", b"Mtext") + b"x",
        fields(b"C42601", b"Mtext") + b"\0",
    ],
)
def test_an_error_that_ends_without_its_terminator_is_broken(body: bytes) -> None:
    assert is_broken(message(b"E", body) + READY)
    assert is_broken(error(b"C42601", b"Mone") + message(b"E", body) + READY)


def test_a_notice_is_never_taken_for_an_error() -> None:
    notice = message(b"N", fields(b"SWARNING", b"C40001", b"Mtake care"))
    assert replies_of(notice + SELECTED + notice + READY) == [plain(0)]


def test_a_huge_row_streams_through_without_memory() -> None:
    piece, count = b"x" * 262_144, 400
    feed = postgres_feed()
    feed.feed(BOUND + b"D" + struct.pack(">I", 4 + len(piece) * count))
    feed.feed(piece)  # compiled and warm
    tracemalloc.start()
    for _ in range(count - 1):
        feed.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    feed.feed(SELECTED + READY + READY)
    assert feed.replies == [plain(1), plain(0)]
    assert peak < 3 * len(piece)  # the piece that the test itself copies


def test_a_reply_of_ten_megabytes_is_one_reply_in_any_pieces() -> None:
    data = BOUND + row(b"n" * 93, None) * 50_000 + row(b"w" * 5_000_000) + SELECTED + READY
    assert len(data) > 10_000_000
    for cuts in ([], list(range(0, len(data), 65_536)), [1, 13, 5_000_003]):
        assert replies_of(data, cuts) == [plain(50_001)]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), CUTS)
@example(b"E\0\0\0\x05\0", [])
@example(b"E\0\0\0\x05C", [])
@example(b"\x7f" * 40, [])
@example(b"D\x3f\xff\xff\xff" * 10, [])
def test_garbage_gives_one_result_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = postgres_feed().feed_all(data, []).outcome
    assert postgres_feed(around=ord("Z")).feed_all(data, cuts).outcome == whole


@settings(max_examples=300, deadline=None)
@given(REPLIES, CUTS, st.data())
def test_a_spoiled_byte_gives_one_result_however_it_is_cut(
    data: bytes, cuts: list[int], choice: st.DataObject
) -> None:
    at = choice.draw(st.integers(0, len(data) - 1))
    spoiled = data[:at] + bytes([choice.draw(st.integers(0, 255))]) + data[at + 1 :]
    whole = postgres_feed().feed_all(spoiled, []).outcome
    assert postgres_feed(around=0xFF).feed_all(spoiled, cuts).outcome == whole


def test_compiled_and_plain_the_scanner_finds_the_same() -> None:
    messages = [*RECORDED.values(), TERMINATED, COPY_OUT, LOGIN, error(b"Mtext"), NOTICE + CHANGED + READY]
    cases = spoiled_cases("postgres", messages, 400)
    found = [case.run() for case in cases]
    assert any(broken for _, broken, *_ in found)
    assert any(text for *_, (text, *_) in found)
    assert plain_outcomes(cases) == [[list(map(list, r)), b, u, list(p)] for r, b, u, p in found]


@pytest.mark.parametrize("text", ["42P01", "00000", "XX000", "40001"])
def test_a_sqlstate_is_packed_as_its_characters(text: str) -> None:
    assert pack_sqlstate(text) == int.from_bytes(text.encode(), "big")


def test_the_columns_fit_into_the_state_row() -> None:
    assert state.FIRST_OWN_COLUMN <= postgres.TRANSACTION < postgres.WORD_NUMBER < state.STATE_COLUMNS


@pytest.mark.parametrize(
    ("tags", "hits", "misses"),
    [
        (["SELECT 0"], 0, 1),
        (["SELECT 10"], 1, 0),
        (["INSERT 0 1"], 1, 0),
        (["INSERT 0 0"], 0, 1),
        (["UPDATE 100"], 1, 0),
        (["DELETE 0"], 0, 1),
        (["BEGIN"], 0, 0),
        (["CREATE TABLE"], 0, 0),
        (["BEGIN", "SELECT 0", "SELECT 99999999999999999999", "COMMIT"], 1, 1),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_statements_that_touched_rows_are_told_from_those_that_touched_none(
    tags: list[str], hits: int, misses: int, piece: int
) -> None:
    feed = Feed(postgres.scan, (state.HITS, state.MISSES))
    data = b"".join(complete(tag) for tag in tags) + b"Z\0\0\0\5I"
    feed.feed_all(data, range(0, len(data), piece))
    assert [found[1:] for found in feed.replies] == [(hits, misses)]


def complete(tag: str) -> bytes:
    """A command's end."""
    return b"C" + (len(tag) + 5).to_bytes(4, "big") + tag.encode() + b"\0"
