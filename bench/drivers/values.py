"""The values that requests write: bytes that depend on the seed alone, marked with their arrival's number."""

from __future__ import annotations

import random
import string

from bench.scenario.templates import MARKED_BYTES

SEQUENCE_WIDTH = 12
"""Digits of an arrival's number."""

RUN_WIDTH = 13
"""Digits of the number of a run: milliseconds since 1970."""


def filler(size: int, seed: int) -> bytes:
    """`size` letters and digits that depend on the seed alone: nothing that compresses to nothing."""
    letters = random.Random(seed).choices(string.ascii_letters + string.digits, k=min(size, 65536))  # noqa: S311 - not a secret
    text = "".join(letters).encode()
    return (text * (size // max(len(text), 1) + 1))[:size]


def value_content(size: int, seed: int) -> tuple[bytes, int]:
    """Content of a value, and how many of its first bytes are the arrival's number."""
    digits = SEQUENCE_WIDTH if size >= MARKED_BYTES else size
    mark = b"0" * digits + (b":" if size > digits else b"")
    return mark + filler(size - len(mark), seed), digits
