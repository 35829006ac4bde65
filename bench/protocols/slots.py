"""Which hash slot of a Redis Cluster a command goes to, read from its rendered bytes; redirections.

A slot is the CRC16/XMODEM of the key, or of what stands in its first braces if something does, modulo 16384
(Redis, "Redis cluster specification").
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import compiled, int64

SLOT_COUNT = int64(16_384)
NO_SLOT = int64(-1)
_POLYNOMIAL = 0x1021
_OPEN, _CLOSE, _ZERO, _NEWLINE, _SPACE = (int64(ord(character)) for character in "{}0\n ")
NOT_MOVED, MOVED_FOR_GOOD, ASK_ONCE = (int64(kind) for kind in range(3))
_MOVED_WORD = tuple(int64(byte) for byte in b"MOVED ")
_ASK_WORD = tuple(int64(byte) for byte in b"ASK ")


def _table() -> NDArray[np.int64]:
    crcs = np.arange(256, dtype=np.int64) << 8
    for _ in range(8):
        crcs = np.where(crcs & 0x8000, crcs << 1 ^ _POLYNOMIAL, crcs << 1) & 0xFFFF
    return crcs


_CRCS = _table()


@compiled
def key_slot(data: NDArray[np.uint8], start: int, end: int) -> int:
    """The slot of the key data[start:end]."""
    first = start
    while first < end and data[first] != _OPEN:
        first += 1
    last = first + 1
    while last < end and data[last] != _CLOSE:
        last += 1
    if first + 1 < last < end:
        start, end = first + 1, last
    crc = np.int64(0)
    for at in range(start, end):
        crc = (crc << 8 & 0xFFFF) ^ _CRCS[(crc >> 8 ^ np.int64(data[at])) & 0xFF]
    return int(crc % SLOT_COUNT)


@compiled
def command_slot(data: NDArray[np.uint8], word: int) -> int:
    """The slot of the key that is word number `word` of the command at the beginning of data (as RESP bulk
    strings); -1 where it has no such word, which a command of ours has.
    """
    at, size = 0, 0
    for number_of_line in range(word + 2):  # the line of the array, then a line and a text of each word
        at += size
        while at < data.size and (data[at] < _ZERO or data[at] > _ZERO + 9):
            at += 1
        number = 0
        while at < data.size and data[at] >= _ZERO and data[at] <= _ZERO + 9:
            number = int(number * 10 + np.int64(data[at]) - _ZERO)
            at += 1
        at += 2
        size = number if number_of_line > 0 else 0
        if at + size > data.size:
            return int(NO_SLOT)
    return key_slot(data, at, at + size)


@compiled
def redirection_in(text: NDArray[np.uint8], size: int) -> int:
    """Whether an error is MOVED or ASK, of the first `size` bytes of its text."""
    same = size > len(_MOVED_WORD)
    for offset in range(len(_MOVED_WORD)):
        same = same and text[offset] == _MOVED_WORD[offset]
    if same:
        return int(MOVED_FOR_GOOD)
    same = size > len(_ASK_WORD)
    for offset in range(len(_ASK_WORD)):
        same = same and text[offset] == _ASK_WORD[offset]
    return int(ASK_ONCE if same else NOT_MOVED)


@compiled
def named_node(text: NDArray[np.uint8], size: int, names: NDArray[np.uint8]) -> int:
    """The row of `names` (NUL-padded) with the last word of a redirection: host:port; -1 if there is none."""
    start = size
    while start > 0 and text[start - 1] != _SPACE:
        start -= 1
    length = size - start
    for row in range(names.shape[0]):
        same = 0 < length <= names.shape[1]
        for offset in range(names.shape[1]):
            if not same:
                break
            same = names[row, offset] == (text[start + offset] if offset < length else 0)
        if same:
            return row
    return int(NO_SLOT)
