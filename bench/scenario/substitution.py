"""`${NAME}` and `${NAME:-default}` in the values of a scenario; nothing else is interpolated.

`$${` writes a literal `${`. The value of a variable can be a secret: the node remembers which
variable it came from, and no problem ever shows its text.
"""

import re
from collections.abc import Mapping

from bench.core.errors import Problem
from bench.core.units import quoted
from bench.scenario.paths import Path, where
from bench.scenario.source import ListNode, MapNode, Node, Scalar

_REFERENCE = re.compile(r"\$(\$\{)|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\})?")


def variables_in(*texts: str) -> frozenset[str]:
    """The variables that texts refer to."""
    return frozenset(match[2] for text in texts for match in _REFERENCE.finditer(text) if match[2])


def interpolated(node: Node, environment: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """The tree with every reference replaced, and the problems of those that could not be."""
    problems: list[Problem] = []
    # An alias shares its node: replaced once, it also complains once.
    done: dict[int, Node] = {}

    def replaced(current: Node, path: Path) -> Node:
        if id(current) not in done:
            done[id(current)] = _replaced(current, path)
        return done[id(current)]

    def _replaced(current: Node, path: Path) -> Node:
        match current:
            case Scalar():
                return _scalar(current, path, environment, problems)
            case ListNode():
                items = tuple(replaced(item, (*path, index)) for index, item in enumerate(current.items))
                return ListNode(items, current.place)
            case MapNode():
                entries = {
                    key: (place, replaced(item, (*path, key)))
                    for key, (place, item) in current.entries.items()
                }
                return MapNode(entries, current.place)

    return replaced(node, ()), problems


def _scalar(node: Scalar, path: Path, environment: Mapping[str, str], problems: list[Problem]) -> Scalar:
    if "${" not in node.text:
        return node
    names: list[str] = []
    told_before = len(problems)
    from_environment: list[str] = []

    def value(match: re.Match[str]) -> str:
        literal, name, default = match.groups()
        if literal:
            return "${"
        if name is None:
            problems.append(
                _problem(
                    node, path, "${NAME} or ${NAME:-default}", quoted(node.text), "correct the reference"
                )
            )
            return ""
        names.append(name)
        set_to = environment.get(name)
        if set_to is not None and (set_to or default is None):
            from_environment.append(name)
            return set_to
        if default is None:
            advice = f"export {name}, or write ${{{name}:-default}}"
            problems.append(_problem(node, path, f"the environment variable {name}", "it is not set", advice))
        return default or ""

    text = _REFERENCE.sub(value, node.text)
    # In {braces} YAML forces quotes around a reference, so quotes do not make its value text; but a
    # password of digits that is sent as JSON stays the text that its quotes say it is.
    is_plain = node.is_plain or bool(names)
    secret_of = from_environment[0] if from_environment else None
    return Scalar(
        text,
        node.place,
        is_plain,
        secret_of,
        is_broken=len(problems) > told_before,
        is_data_text=node.is_data_text,
    )


def _problem(node: Scalar, path: Path, expected: str, found: str, advice: str) -> Problem:
    place = node.place
    return Problem(place.file, place.line, place.column, where(path), expected, found, advice)
