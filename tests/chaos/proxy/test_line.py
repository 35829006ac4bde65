"""The pure part: what leaves when, for any bytes at any time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from chaos.proxy.delay_queue import FIN, RST, DelayQueue
from chaos.proxy.toxic import DOWN, UP, Draws, Toxic
from chaos.proxy.toxics import LimitData, Path, toxic_of

READS = st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.integers(0, 3_000_000)), max_size=20)
"""Bytes, each with the time since the one before."""


def line_under(*toxics: Toxic) -> DelayQueue:
    path, line = Path(1, UP, toxics), DelayQueue()
    follow(line, path)
    return line


def follow(line: DelayQueue, path: Path) -> None:
    delays = path.latency.stage(1, UP) if path.latency else None
    pacers = tuple(toxic.stage(1, UP) for toxic in (path.bandwidth, path.slicer) if toxic)
    line.follow(delays, pacers, path.slow_close.delay_ns if path.slow_close else 0)


def played(
    line: DelayQueue, reads: list[tuple[bytes, int]], end: str | None = None
) -> list[tuple[int, bytes]]:
    """Put everything in at its time, take everything out at its own: (time, piece); the end is b""."""
    now, out = 0, []
    arrivals = []
    for data, gap in reads:
        now += gap
        arrivals.append((now, data))
    now = 0
    while arrivals or not line.is_empty:
        times = [at for at in (line.ready_ns(), arrivals[0][0] if arrivals else None) if at is not None]
        now = max(now, min(times))
        if arrivals and arrivals[0][0] <= now:
            line.put(memoryview(arrivals.pop(0)[1]), now)
            if not arrivals and end:
                line.finish(end, now)
        while (piece := line.take(now)) is not None:
            out.append((now, b"" if isinstance(piece, str) else bytes(piece)))
    return out


@given(reads=READS, delay=st.integers(0, 10**7), jitter=st.integers(0, 10**7))
def test_latency_keeps_the_order_and_delays_at_least_by_the_delay(reads, delay, jitter):
    out = played(line_under(toxic_of("latency", {"delay": delay, "delay_jitter": jitter})), reads)
    assert b"".join(data for _, data in out) == b"".join(data for data, _ in reads)
    came = 0
    for (data, gap), (left, piece) in zip(reads, out, strict=True):
        came += gap
        assert piece == data
        assert left >= came + delay
    assert [at for at, _ in out] == sorted(at for at, _ in out)


@given(reads=READS, delay=st.integers(0, 10**7))
def test_latency_without_jitter_is_exact(reads, delay):
    out = played(line_under(toxic_of("latency", {"delay": delay})), reads)
    came = 0
    for (_, gap), (left, _) in zip(reads, out, strict=True):
        came += gap
        assert left == came + delay


@given(reads=READS, rate=st.integers(1, 10**9))
def test_bandwidth_lets_no_byte_through_before_its_time(reads, rate):
    out = played(line_under(toxic_of("bandwidth", {"rate": rate})), reads)
    assert b"".join(data for _, data in out) == b"".join(data for data, _ in reads)
    if reads:
        first_came, passed = reads[0][1], 0
        for at, piece in out:
            passed += len(piece)
            assert (at - first_came) * rate >= passed * 10**9


@given(size=st.integers(1, 5_000), rate=st.integers(1, 10**6))
def test_bandwidth_wastes_none_of_the_rate_on_bytes_that_stand_ready(size, rate):
    line = line_under(toxic_of("bandwidth", {"rate": rate}))
    out = played(line, [(bytes(size), 0)])
    # Each piece may be rounded up to the next nanosecond.
    assert out[-1][0] <= size * 10**9 // rate + len(out)


@given(reads=READS, size=st.integers(1, 50), pause=st.integers(0, 10**6))
def test_a_slicer_cuts_pieces_of_at_most_its_size_with_its_pauses(reads, size, pause):
    toxic = toxic_of("slicer", {"bytes": size, "delay": pause})
    out = played(line_under(toxic), reads)
    assert b"".join(data for _, data in out) == b"".join(data for data, _ in reads)
    assert all(0 < len(piece) <= size for _, piece in out)
    assert all(later - earlier >= pause for (earlier, _), (later, _) in pairwise(out))
    assert len(out) == sum(-(-len(data) // size) for data, _ in reads) == toxic.count


@given(sizes=st.lists(st.integers(1, 100), max_size=30), limit=st.integers(1, 1_000))
def test_a_limit_lets_exactly_its_bytes_through(sizes, limit):
    toxic = toxic_of("limit_data", {"bytes": limit})
    assert isinstance(toxic, LimitData)
    allowance = toxic.stage(1, UP)
    passed = [allowance.spend(size) for size in sizes]
    assert sum(passed) == min(limit, sum(sizes)) == toxic.bytes
    assert allowance.left_bytes == max(0, limit - sum(sizes))
    assert toxic.count == (sum(sizes) >= limit)


@given(reads=READS.filter(bool), end=st.sampled_from([FIN, RST]), slow=st.integers(0, 10**6))
def test_the_end_comes_last_and_an_orderly_one_waits_for_slow_close(reads, end, slow):
    toxics = toxic_of("latency", {"delay": 500}), toxic_of("slow_close", {"delay": slow})
    out = played(line_under(*toxics), reads, end)
    assert b"".join(data for _, data in out[:-1]) == b"".join(data for data, _ in reads)
    last_left, (ended, what) = out[-2][0], out[-1]
    assert what == b""
    assert ended - last_left == (slow if end == FIN else 0)


@given(reads=READS.filter(bool), delay=st.integers(1, 10**6))
def test_what_is_under_way_goes_by_the_toxics_that_came_later(reads, delay):
    line = line_under(toxic_of("latency", {"delay": 10**9}))
    for data, _ in reads:
        line.put(memoryview(data), 0)
    follow(line, Path(2, UP, [toxic_of("latency", {"delay": delay}, number=2)]))
    assert line.take(delay - 1) is None
    assert line.take(delay) is not None
    follow(line, Path(3, UP, []))
    left = b""
    while (piece := line.take(0)) is not None:
        left += bytes(piece)
    assert reads[0][0] + left == b"".join(data for data, _ in reads)


def test_a_reader_that_stood_still_is_not_paid_back_in_speed():
    line = line_under(toxic_of("bandwidth", {"rate": 1000}))
    line.put(memoryview(bytes(10)), 0)
    line.resume(10**12)
    assert line.ready_ns() == 10**12 + 5 * 10**6


def test_a_reset_does_not_wait_for_bytes_that_nobody_takes():
    line = line_under(toxic_of("latency", {"delay": 5}))
    line.put(memoryview(b"x"), 0)
    assert line.cut_off_ns is None
    line.finish(RST, 1)
    assert line.cut_off_ns == 6


def test_a_line_is_full_by_bytes_or_by_the_number_of_reads():
    line = line_under(toxic_of("latency", {"delay": 5}))
    line.put(memoryview(bytes(100)), 0)
    assert line.is_full(100)
    assert not line.is_full(101)
    for _ in range(5_000):
        line.put(memoryview(b"x"), 0)
    assert line.is_full(10**9)


def test_equal_seeds_give_equal_jitter_and_every_connection_its_own():
    def delays(seed: int, connection: int, direction: str) -> list[int]:
        toxic = toxic_of("latency", {"delay": 10, "delay_jitter": 10**6}, number=1, seed=seed)
        stage = toxic.stage(connection, direction)
        return [stage.next_ns() for _ in range(50)]

    first = delays(1, 1, UP)
    assert first == delays(1, 1, UP)
    others = [delays(2, 1, UP), delays(1, 2, UP), delays(1, 1, DOWN)]
    assert all(first != other for other in others)
    assert all(10 <= delay <= 10 + 10**6 for delay in first)


@given(limit=st.integers(0, 2**40), name=st.lists(st.integers(0, 2**64), max_size=4))
def test_draws_stay_within_their_limit(limit, name):
    draws = Draws(*name)
    assert all(0 <= draws.up_to(limit) <= limit for _ in range(20))


def test_draws_cover_their_range_evenly():
    draws = Draws(3)
    counts = [0] * 10
    for _ in range(10_000):
        counts[draws.up_to(9)] += 1
    assert all(850 < count < 1150 for count in counts)
