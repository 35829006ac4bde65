"""What is put into a scenario's tree before it is checked: the environment's values, and those of --set.

`${NAME}` and `${NAME:-default}` are replaced in values; nothing else is interpolated, and `$${` writes
a literal `${`. The value of a variable can be a secret: the node remembers which variable it came
from, and no problem ever shows its text.

`--set key.path=value` replaces, adds or appends values:

    path  = step *( "." step )
    step  = key | index | name of a list item | "+" (append to a list, last step only)

A value is read as YAML and checked like the file: `--set workloads.cache.rate=fast` is a problem with
the place "--set".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.core.errors import Problem, ScenarioError
from bench.core.units import quoted
from bench.scenario.problems import Path
from bench.scenario.source import MAX_DEPTH, ListNode, MapNode, Node, Place, Scalar, compose

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
        if id(current) in done:
            return done[id(current)]
        match current:
            case Scalar():
                new: Node = _scalar(current, path, environment, problems)
            case ListNode(items, place):
                new = ListNode(tuple(replaced(item, (*path, i)) for i, item in enumerate(items)), place)
            case MapNode(entries, place):
                changed = {key: (at, replaced(item, (*path, key))) for key, (at, item) in entries.items()}
                new = MapNode(changed, place)
        done[id(current)] = new
        return new

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
            expected, advice = "${NAME} or ${NAME:-default}", "correct the reference"
            problems.append(node.place.problem(path, expected, quoted(node.text), advice))
            return ""
        names.append(name)
        set_to = environment.get(name)
        if set_to is not None and (set_to or default is None):
            from_environment.append(name)
            return set_to
        if default is None:
            advice = f"export {name}, or write ${{{name}:-default}}"
            expected = f"the environment variable {name}"
            problems.append(node.place.problem(path, expected, "it is not set", advice))
        return default or ""

    text = _REFERENCE.sub(value, node.text)
    # In {braces} YAML forces quotes around a reference, so quotes do not make its value text; but a
    # password of digits that is sent as JSON stays the text that its quotes say it is.
    is_plain = node.is_plain or bool(names)
    secret_of = from_environment[0] if from_environment else None
    is_broken = len(problems) > told_before
    return replace(node, text=text, is_plain=is_plain, secret_of=secret_of, is_broken=is_broken)


OVERRIDES_FILE = "--set"
_PLACE = Place(OVERRIDES_FILE)


def overridden(root: MapNode, overrides: Sequence[str]) -> tuple[MapNode, list[Problem]]:
    """The tree with all overrides applied in order, and the problems of those that cannot be."""
    problems: list[Problem] = []
    for text in overrides:
        key, equals, value = text.partition("=")
        steps = [step.strip() for step in key.split(".")]
        if not equals or not all(steps) or len(steps) > MAX_DEPTH:
            advice = "write for example --set workloads.cache.rate=500/s"
            problems.append(_PLACE.problem("path", "key.path=value", quoted(text), advice))
            continue
        try:
            node, found = compose(value, OVERRIDES_FILE, has_lines=False)
            problems += found
            changed = _with(root, steps, node or Scalar("", _PLACE), ())
        except ScenarioError as error:
            problems += error.problems
            continue
        assert isinstance(changed, MapNode)
        root = changed
    return root, problems


def _with(node: Node, steps: Sequence[str], value: Node, path: Path) -> Node:
    """`node` with the value below it replaced. Raises ScenarioError for a step that leads nowhere."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    match node:
        case MapNode():
            if step == "+":
                raise _nowhere(path, "a list to append to", "a mapping", "name the list before .+")
            place, current = node.entries.get(step, (_PLACE, _empty(rest)))
            return MapNode(
                {**node.entries, step: (place, _with(current, rest, value, (*path, step)))}, node.place
            )
        case ListNode():
            items = list(node.items)
            if step == "+":
                return ListNode((*items, _with(_empty(rest), rest, value, (*path, len(items)))), node.place)
            index = _index(node, step, path)
            items[index] = _with(items[index], rest, value, (*path, index))
            return ListNode(tuple(items), node.place)
        case Scalar():
            if node.is_plain and node.text in ("", "null", "~"):
                return _with(_empty(steps), steps, value, path)
            raise _nowhere(
                path, "a mapping or a list", "a single value", f"remove .{'.'.join(steps)} from the path"
            )


def _empty(steps: Sequence[str]) -> Node:
    """What a missing part starts as, seen from the steps that go on below it."""
    if steps and steps[0] == "+":
        return ListNode((), _PLACE)
    return MapNode({}, _PLACE)


def _index(node: ListNode, step: str, path: Path) -> int:
    """Position of the item that `step` means: its index or its name."""
    # An index of more digits than any list has items is a name that does not exist.
    if step.isascii() and step.isdigit() and len(step) <= 6 and int(step) < len(node.items):
        return int(step)
    names = [_name(item) for item in node.items]
    if names.count(step) == 1:
        return names.index(step)
    known = [name for name in names if name is not None]
    choices = ", ".join(quoted(name)[1:-1] for name in known[:20]) or "none"
    count = len(node.items)
    expected = f"the index 0..{count - 1} or the name of an item (names: {choices})" if count else "an item"
    raise _nowhere(path, expected, quoted(step), "correct the step, or append with .+")


def _name(item: Node) -> str | None:
    if isinstance(item, MapNode) and "name" in item.entries and isinstance(item.entries["name"][1], Scalar):
        return item.entries["name"][1].text
    return None


def _nowhere(path: Path, expected: str, found: str, advice: str) -> ScenarioError:
    return ScenarioError([_PLACE.problem(path, expected, found, advice)])
