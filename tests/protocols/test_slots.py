"""Hash slots: known ones, the compiled code beside the plain one, and redirections in a server's words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.drivers.redis.commands import encode, key_at
from bench.protocols.slots import (
    ASK_ONCE,
    MOVED_FOR_GOOD,
    NOT_MOVED,
    command_slot,
    key_slot,
    named_node,
    redirection_in,
)
from bench.stack.cluster import slot_of


def data(text: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(text, dtype=np.uint8).copy()


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),  # the check value of CRC-16/XMODEM
        (b"", 0),
        (b"foo", 12182),
        (b"somekey", 11058),
        (b"{user1000}.following", slot_of(b"user1000")),
        (b"foo{{bar}}zap", slot_of(b"{bar")),
        (b"foo{bar}{zap}", slot_of(b"bar")),
    ],
)
def test_keys_have_the_slots_that_the_specification_gives_them(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot == key_slot(data(key), 0, len(key))


@pytest.mark.parametrize("key", [b"foo{}{bar}", b"foo{bar", b"foo}bar{"])
def test_braces_with_nothing_in_them_or_no_end_are_a_part_of_the_key(key: bytes) -> None:
    replaced = key.replace(b"{", b"(")
    assert slot_of(key) == key_slot(data(key), 0, len(key))
    assert slot_of(key) != slot_of(replaced)  # all of it counts
    assert slot_of(key) not in (slot_of(b"bar"), slot_of(b""))


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=40), st.text(alphabet="{}ab", max_size=12).map(str.encode)))
def test_compiled_code_and_plain_python_find_the_same_slot(key: bytes) -> None:
    around = b"x" + key + b"}y"
    assert key_slot(data(around), 1, 1 + len(key)) == slot_of(key)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), min_size=1, max_size=4), st.data())
def test_the_slot_of_a_command_is_that_of_its_word(words: list[bytes], draw: st.DataObject) -> None:
    number = draw.draw(st.integers(0, len(words) - 1))
    assert command_slot(data(encode(*words)), number) == slot_of(words[number])


def test_a_command_without_that_word_has_no_slot() -> None:
    assert command_slot(data(encode("GET", "a")), 2) == -1


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (("GET", "a"), 1),
        (("PING",), -1),
        (("eval", "return 1", "1", "a"), 3),
        (("EVAL", "return 1", "0"), -1),
        (("XREAD", "COUNT", "2", "STREAMS", "a", "0"), 4),
        (("OBJECT", "ENCODING", "a"), 2),
        (("ZINTER", "2", "a", "b"), 2),
        (("DBSIZE",), -1),
    ],
)
def test_the_first_key_of_a_command_is_known(command: tuple[str, ...], word: int) -> None:
    assert key_at(command) == word


@pytest.mark.parametrize(
    ("text", "kind", "node"),
    [
        (b"MOVED 3999 127.0.0.1:6381", MOVED_FOR_GOOD, 1),
        (b"ASK 3999 node-1.internal:6379", ASK_ONCE, 0),
        (b"MOVED 3999 127.0.0.1:63811", MOVED_FOR_GOOD, -1),
        (b"MOVED", NOT_MOVED, -1),
        (b"ASKING is unknown", NOT_MOVED, -1),
        (b"CLUSTERDOWN The cluster is down", NOT_MOVED, -1),
    ],
)
def test_a_redirection_is_known_by_its_word_and_names_a_node(text: bytes, kind: int, node: int) -> None:
    names = np.zeros((3, 64), dtype=np.uint8)
    for row, name in enumerate((b"node-1.internal:6379", b"127.0.0.1:6381")):
        names[row, : len(name)] = data(name)
    padded = data(text.ljust(80, b"\0"))
    assert redirection_in(padded, len(text)) == kind
    assert named_node(padded, len(text), names) == node
