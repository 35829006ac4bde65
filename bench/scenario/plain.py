"""Source nodes as plain Python values, and the way back from a value's path to its node.

Only JSON's types exist: YAML's older habits (`on` as true, 1:30 as 90, 010 as 8, dates) are off,
because a scenario must mean what it looks like. What goes to a server as JSON has the values of YAML 1.2.
"""

import re
from collections.abc import Iterator
from typing import Any

from bench.core.units import Mismatch
from bench.scenario.data_values import data_value, refused_data
from bench.scenario.finding import Finding
from bench.scenario.paths import Path
from bench.scenario.source import ListNode, MapNode, Node, Place, Scalar

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}(?:[eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, Any] = {"": None, "null": None, "~": None, "true": True, "false": False}

# Words, statements and headers go to the server as they stand: 007 and 1.50 are text there.
_TEXT_KEYS = (
    *("command", "commands", "sql", "transaction", "session"),
    *("headers", "body", "contains", "arguments"),
)
_DATA_KEY = "json"
"""What stands below is the user's data, whose keys mean nothing to us."""
_NAMING_KEYS = ("operations", "parameters")
"""The keys right below are names that the user gives: an operation may be called session, body or json."""


def plain(node: Node, *, is_text: bool = False, is_data: bool = False, is_naming: bool = False) -> Any:
    """dict, list, str, int, float, bool or None; with `is_text` every scalar below is a str."""
    match node:
        case Scalar() if is_data:
            return _data_scalar(node)
        case Scalar():
            return node.text if is_text or not node.is_plain else _plain_scalar(node.text)
        case ListNode():
            return [plain(item, is_text=is_text, is_data=is_data) for item in node.items]
        case MapNode():
            ours = () if is_data or is_naming else node.entries.keys()
            return {
                key: plain(
                    item,
                    is_text=is_text or (key in ours and key in _TEXT_KEYS),
                    is_data=is_data or (key in ours and key == _DATA_KEY),
                    is_naming=key in ours and key in _NAMING_KEYS,
                )
                for key, (_, item) in node.entries.items()
            }


def findings_of_data(node: Node, path: Path = (), *, is_naming: bool = False) -> Iterator[Finding]:
    """What is wrong with scalars that are sent as JSON, wherever in the tree they stand."""
    match node:
        case ListNode():
            for index, item in enumerate(node.items):
                yield from findings_of_data(item, (*path, index))
        case MapNode():
            for key, (_, item) in node.entries.items():
                if key == _DATA_KEY and not is_naming:
                    yield from refused_data(item, (*path, key))
                elif is_naming or key not in _TEXT_KEYS:
                    is_named = not is_naming and key in _NAMING_KEYS
                    yield from findings_of_data(item, (*path, key), is_naming=is_named)


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
    """Where the key that ends `path` stands; the place of the nearest node above if there is none."""
    node, _ = node_at(root, path[:-1])
    if path and isinstance(node, MapNode) and path[-1] in node.entries:
        return node.entries[str(path[-1])][0]
    return node.place


def places(root: Node) -> dict[Path, Place]:
    """Every path of the tree with its place."""
    found: dict[Path, Place] = {}
    waiting: list[tuple[Path, Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        found[path] = node.place
        match node:
            case ListNode():
                waiting += [((*path, index), item) for index, item in enumerate(node.items)]
            case MapNode():
                waiting += [((*path, key), item) for key, (_, item) in node.entries.items()]
            case Scalar():
                pass
    return found


def secrets(root: Node) -> dict[Path, str]:
    """Every path whose value came from an environment variable, with that variable's name."""
    found: dict[Path, str] = {}
    waiting: list[tuple[Path, Node]] = [((), root)]
    while waiting:
        path, node = waiting.pop()
        match node:
            case ListNode():
                waiting += [((*path, index), item) for index, item in enumerate(node.items)]
            case MapNode():
                waiting += [((*path, key), item) for key, (_, item) in node.entries.items()]
            case Scalar() if node.secret_of:
                found[path] = node.secret_of
    return found


def _data_scalar(node: Scalar) -> Any:
    """As YAML 1.2 has it; one that is refused (`findings_of_data`) as it was written."""
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
