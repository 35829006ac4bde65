"""`--set key.path=value`: replaces, adds or appends values of a scenario before it is checked.

    path  = step *( "." step )
    step  = key | index | name of a list item | "+" (append to a list, last step only)

A value is read as YAML and checked like the file: `--set workloads.cache.rate=fast` is a problem
with the place "--set".
"""

from collections.abc import Sequence

from bench.core.errors import Problem, ScenarioError
from bench.core.units import quoted
from bench.scenario.paths import Path, where
from bench.scenario.source import ListNode, MapNode, Node, Place, Scalar, compose
from bench.scenario.yaml_words import MAX_DEPTH

FILE = "--set"
_PLACE = Place(FILE)


def overridden(root: MapNode, overrides: Sequence[str]) -> tuple[MapNode, list[Problem]]:
    """The tree with all overrides applied in order, and the problems of those that cannot be."""
    problems: list[Problem] = []
    for text in overrides:
        key, equals, value = text.partition("=")
        steps = [step.strip() for step in key.split(".")]
        if not equals or not all(steps) or len(steps) > MAX_DEPTH:
            problems.append(
                _problem("key.path=value", quoted(text), "write for example --set workloads.cache.rate=500/s")
            )
            continue
        try:
            node, found = compose(value, FILE, has_lines=False)
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
    return ScenarioError([Problem(FILE, 0, 0, where(path), expected, found, advice)])


def _problem(expected: str, found: str, advice: str) -> Problem:
    return Problem(FILE, 0, 0, "path", expected, found, advice)
