"""A text is searched in bodies alone, across all borders of reads and chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.protocols.http import scanner as http
from tests.protocols.http_messages import CHUNKED, everywhere, replies_of, reply, with_headers

pytestmark = pytest.mark.timeout(300)


CUTS = st.lists(st.integers(0, 10_000), max_size=30)


@pytest.mark.parametrize(
    ("needle", "body", "found"),
    [
        (b"", b"abc", 0),
        (b"abc", b"abc", 1),
        (b"abc", b"ab", 0),
        (b"abc", b"ababc", 1),
        (b"aab", b"aaaaab", 1),
        (b"abab", b"abaab", 0),
        (b"aabaaa", b"aabaabaaa", 1),
        (b"x", b"", 0),
        (b"x", b"yyyyx", 1),
        (b"Content-Length", b"none", 0),
        (b"5", b"hello", 0),
        (b"\r\n", b"a\rb\nc", 0),
        (b"\0\xff", b"\0\0\xff", 1),
    ],
)
def test_a_text_is_searched_in_the_body_alone_across_all_borders(
    needle: bytes, body: bytes, found: int
) -> None:
    expected = [reply("200 OK", found=found), reply("200 OK")]
    after = with_headers(b"Content-Length: 0")
    everywhere(with_headers(b"Content-Length: %d" % len(body), body=body) + after, expected, needle)
    for size in range(1, len(body) + 1):
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        chunks = b"".join(b"%x;x\r\n%b\r\n" % (len(part), part) for part in parts)
        everywhere(CHUNKED + chunks + b"0\r\n\r\n" + after, expected, needle)


@settings(max_examples=150, deadline=None)
@given(st.text("ab", min_size=1, max_size=8), st.text("ab", max_size=60), CUTS)
def test_the_search_finds_what_python_finds(needle: str, body: str, cuts: list[int]) -> None:
    data = with_headers(b"Content-Length: %d" % len(body), body=body.encode())
    assert replies_of(data, cuts, needle.encode())[0].found == (needle in body)


@given(st.text("ab", max_size=12))
def test_links_are_the_longest_borders(needle: str) -> None:
    links = http.links_of(needle.encode())
    assert links.dtype == np.int64
    for place, link in enumerate(links):
        head = needle[: place + 1]
        borders = [size for size in range(len(head)) if head[:size] == head[len(head) - size :]]
        assert link == max(borders)
