"""Nodes as plain Python values, and the way back from a value's path to its node.

Only JSON's types exist: YAML's older habits (`on` as true, 1:30 as 90, 010 as 8, dates) are off,
because a scenario must mean what it looks like.

Unquoted scalars that travel to a server as JSON have the values of YAML 1.2's core schema
(yaml.org/spec/1.2.2, section 10.3.2), or are rejected with advice: what the core schema or JSON would
quietly turn into something that does not look like what was written. 01234 would lose its zero, +49
its plus, a number with more digits than a double holds its last ones.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from bench.core.units import Mismatch, quoted
from bench.scenario.fields import kind_of
from bench.scenario.problems import Path, Violation
from bench.scenario.source import ListNode, MapNode, Node, Place, Scalar

MOST_DIGITS = 300
_DATA_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BASES = {8: re.compile(r"0o[0-7]+"), 16: re.compile(r"0x[0-9a-fA-F]+")}
_DATA_INTEGER = re.compile(r"[-+]?[0-9]+")
_DATA_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_EXPECTED = "a value that JSON can have as it is written"


def data_value(text: str) -> Any:
    """The value of an unquoted scalar: None, bool, int, float or str. Raises Mismatch."""
    if text in _DATA_WORDS:
        return _DATA_WORDS[text]
    if _NO_NUMBER.fullmatch(text):
        raise Mismatch("a number that JSON has", quoted(text), f'write null, or "{text}" in quotes for text')
    for base, form in _BASES.items():
        if form.fullmatch(text):
            return int(_bounded(text), base)
    if not _DATA_FLOAT.fullmatch(text):
        return text
    digits = _bounded(text).lstrip("+-")
    if text[0] == "+" or re.match("0[0-9]", digits):
        number = ("-" if text[0] == "-" else "") + (digits.lstrip("0") or "0")
        advice = f'write "{text}" in quotes for text, or {number} for the number'
        raise Mismatch(_EXPECTED, f"{quoted(text)[1:-1]}, whose first character a number loses", advice)
    return int(text) if _DATA_INTEGER.fullmatch(text) else _exact(text)


def _refused(root: Node, path: Path) -> Iterator[Violation]:
    """A violation for each unquoted scalar below `root`, which stands at `path`, that has no data value."""
    for below, node in nodes(root):
        if isinstance(node, Scalar) and not node.is_data_text:
            try:
                data_value(node.text)
            except Mismatch as mismatch:
                yield Violation((*path, *below), mismatch.expected, mismatch.found, mismatch.advice)


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


_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {"": None, "null": None, "~": None, "true": True, "false": False}

# Words, statements and headers go to the server as they stand: 007 and 1.50 are text there.
_TEXT_KEYS = (
    *("command", "commands", "sql", "transaction", "session"),
    *("headers", "header", "body", "contains", "arguments"),
)
_STEP_KEYS = ("setup", "teardown", "connect")
"""Lists in which a command or SQL is text, and a request a mapping like any other."""
_DATA_KEYS = ("json", "pick")
"""What stands below is the user's data, whose keys mean nothing to us."""
_NAMING_KEYS = ("operations", "parameters", "capture")
"""The keys right below are names that the user gives: an operation may be called session, body or json."""


def plain(
    node: Node,
    *,
    is_text: bool = False,
    is_data: bool = False,
    is_naming: bool = False,
    is_steps: bool = False,
) -> Any:
    """dict, list, str, int, float, bool or None; with `is_text` every scalar below is a str."""
    match node:
        case Scalar() if is_data:
            return _data_scalar(node)
        case Scalar():
            return node.text if is_text or not node.is_plain else _plain_scalar(node.text)
        case ListNode():
            return [
                plain(item, is_text=is_text or (is_steps and not isinstance(item, MapNode)), is_data=is_data)
                for item in node.items
            ]
        case MapNode():
            ours = () if is_data or is_naming else node.entries.keys()
            return {
                key: plain(
                    item,
                    is_text=is_text or (key in ours and key in _TEXT_KEYS),
                    is_data=is_data or (key in ours and key in _DATA_KEYS),
                    is_naming=key in ours and key in _NAMING_KEYS,
                    is_steps=key in ours and key in _STEP_KEYS,
                )
                for key, (_, item) in node.entries.items()
            }


def check_data(node: Node, path: Path = (), *, is_naming: bool = False) -> Iterator[Violation]:
    """What is wrong with scalars that are sent as JSON, wherever in the tree they stand."""
    match node:
        case ListNode():
            for index, item in enumerate(node.items):
                yield from check_data(item, (*path, index))
        case MapNode():
            for key, (_, item) in node.entries.items():
                if key in _DATA_KEYS and not is_naming:
                    yield from _refused(item, (*path, key))
                elif is_naming or key not in _TEXT_KEYS:
                    is_named = not is_naming and key in _NAMING_KEYS
                    yield from check_data(item, (*path, key), is_naming=is_named)


def node_at(root: Node, path: Path) -> tuple[Node, Path]:
    """The node at `path`, or the nearest one above it, with the path of the node returned."""
    node = root
    for depth, step in enumerate(path):
        match node:
            case MapNode() if step in node.entries:
                node = node.entries[str(step)][1]
            case ListNode() if isinstance(step, int) and 0 <= step < len(node.items):
                node = node.items[step]
            case _:
                return node, path[:depth]
    return node, path


def place_of_key(root: Node, path: Path) -> Place:
    """Where the key that ends `path` is written; the place of the nearest node above if there is none."""
    node, _ = node_at(root, path[:-1])
    if path and isinstance(node, MapNode) and path[-1] in node.entries:
        return node.entries[str(path[-1])][0]
    return node.place


def nodes(root: Node) -> Iterator[tuple[Path, Node]]:
    """Every node of the tree with its path."""
    waiting: list[tuple[Path, Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        yield path, node
        if isinstance(node, ListNode):
            waiting += [((*path, index), item) for index, item in enumerate(node.items)]
        elif isinstance(node, MapNode):
            waiting += [((*path, key), item) for key, (_, item) in node.entries.items()]


def _data_scalar(node: Scalar) -> Any:
    """As YAML 1.2 has it; one that is refused (`check_data`) as it was written."""
    try:
        return node.text if node.is_data_text else data_value(node.text)
    except Mismatch:
        return node.text


def _plain_scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
