"""Unquoted YAML scalars that travel to a server as JSON: YAML 1.2 core values, or refused with advice.

The core schema (yaml.org/spec/1.2.2, section 10.3.2) says what is null, a truth value or a number;
everything else is text, so `yes` and 2024-01-01 are. Refused is what the core schema or JSON would
quietly turn into something that does not look like what was written: 01234 would lose its zero, +49 its
plus, a number with more digits than a double holds its last ones.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from bench.core.units import Mismatch, quoted
from bench.scenario.fields import kind_of
from bench.scenario.finding import Finding
from bench.scenario.paths import Path
from bench.scenario.source import ListNode, MapNode, Node, Scalar

MOST_DIGITS = 300
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BASES = {8: re.compile(r"0o[0-7]+"), 16: re.compile(r"0x[0-9a-fA-F]+")}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_EXPECTED = "a value that JSON can have as it is written"


def data_value(text: str) -> Any:
    """The value of an unquoted scalar: None, bool, int, float or str. Raises Mismatch."""
    if text in _WORDS:
        return _WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise Mismatch("a number that JSON has", quoted(text), f'write null, or "{text}" in quotes for text')
    for base, form in _BASES.items():
        if form.fullmatch(text):
            return int(_bounded(text), base)
    if not _FLOAT.fullmatch(text):
        return text
    digits = _bounded(text).lstrip("+-")
    if text[0] == "+" or re.match("0[0-9]", digits):
        number = ("-" if text[0] == "-" else "") + (digits.lstrip("0") or "0")
        advice = f'write "{text}" in quotes for text, or {number} for the number'
        raise Mismatch(_EXPECTED, f"{quoted(text)[1:-1]}, whose first character a number loses", advice)
    return int(text) if _INTEGER.fullmatch(text) else _exact(text)


def refused_data(root: Node, path: Path) -> Iterator[Finding]:
    """A finding for each unquoted scalar below `root`, which stands at `path`, that has no data value."""
    match root:
        case Scalar() if root.is_data_text:
            return
        case Scalar():
            try:
                data_value(root.text)
            except Mismatch as mismatch:
                yield Finding(path, mismatch.expected, mismatch.found, mismatch.advice)
        case ListNode():
            for index, item in enumerate(root.items):
                yield from refused_data(item, (*path, index))
        case MapNode():
            for key, (_, item) in root.entries.items():
                yield from refused_data(item, (*path, key))


def _bounded(text: str) -> str:
    if len(text) > MOST_DIGITS:
        raise Mismatch(
            f"a number of at most {MOST_DIGITS} characters", kind_of(text[:40]), "put it in quotes"
        )
    return text


def _exact(text: str) -> float:
    """A number with a point or an exponent, which must be the double that it becomes."""
    value = float(text)
    try:
        is_exact = math.isfinite(value) and Decimal(text) == Decimal(repr(value))
    except InvalidOperation:
        is_exact = False  # an exponent beyond those that can be compared
    if not is_exact:
        found = f"{quoted(text)[1:-1]}, which would become {value!r}"
        raise Mismatch(
            "a number of at most 17 digits that a double can hold", found, f'write "{text}" in quotes'
        )
    return value
