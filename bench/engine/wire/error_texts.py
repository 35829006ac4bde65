"""The kind of an error's text (bench.core.error_kinds), for compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import compiled, inner

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ZERO, _NINE, _UPPER_A, _UPPER_Z, _LOWER_A, _LOWER_Z, _SPACE, _VALUE = b"09AZaz #"
_DOT, _COLON, _HYPHEN = b".:-"
_HTTP = np.array(list(b"HTTP "), dtype=np.uint8)
CODE_BYTES = 5
"""Length of a SQLSTATE, as of the words MOVED and ERROR: kept where a blank follows."""


@inner
def _is_digit(byte: int) -> bool:
    return _ZERO <= byte <= _NINE


@inner
def _is_of_run(byte: int) -> bool:
    is_letter = _UPPER_A <= byte <= _UPPER_Z or _LOWER_A <= byte <= _LOWER_Z
    return is_letter or _ZERO <= byte <= _NINE


@inner
def _code_size(text: NDArray[np.uint8], size: int) -> int:
    """How much of the beginning is a code, which is no value."""
    if size <= CODE_BYTES:
        return 0
    is_http = True
    for place in range(CODE_BYTES):
        is_http = is_http and text[place] == _HTTP[place]
    if is_http:
        return size
    for place in range(CODE_BYTES):
        byte = text[place]
        if not (_is_digit(byte) or _UPPER_A <= byte <= _UPPER_Z):
            return 0
    return CODE_BYTES + 1 if text[CODE_BYTES] == _SPACE else 0


@compiled
def write_kind(text: NDArray[np.uint8], size: int, kind: NDArray[np.uint8]) -> int:
    """Write the kind of text[:size] to `kind`, which is at least as long; return its length."""
    at = _code_size(text, size)
    end = 0
    while end < at:
        kind[end] = text[end]
        end += 1
    while at < size:
        begin, has_digit = at, False
        while at < size:
            byte = text[at]
            is_joint = byte in (_DOT, _COLON, _HYPHEN) and at > begin
            if is_joint:
                is_joint = at + 1 < size and _is_of_run(text[at + 1])
            if not is_joint and not _is_of_run(byte):
                break
            has_digit = has_digit or _is_digit(byte)
            at += 1
        if has_digit:
            kind[end] = _VALUE
            end += 1
        else:
            for place in range(begin, at):
                kind[end] = text[place]
                end += 1
        if at == begin:
            kind[end] = text[at]
            end += 1
            at += 1
    return end
