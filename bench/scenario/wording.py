"""What pydantic found wrong, said in our form and placed in the file."""

import difflib
from collections.abc import Iterable
from typing import Any

from bench.core.errors import Problem
from bench.core.units import Mismatch, quoted
from bench.scenario.fields import kind_of
from bench.scenario.finding import Finding
from bench.scenario.paths import Path, where
from bench.scenario.plain import node_at, place_of_key, plain
from bench.scenario.source import ListNode, MapNode, Node, Scalar

_SHOWN_NAMES = 20


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was most likely meant to be, None if none is close."""
    # Similarity takes quadratic time: nobody misspells a name of hundreds of characters.
    matches = difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def placed(finding: Finding, root: Node) -> Problem | None:
    """A finding as a problem at its node; None if a problem of that node was told already."""
    node, path = node_at(root, finding.path)
    if _is_broken(node):
        return None
    involved = [node, *(node_at(root, other)[0] for other in finding.involves)]
    if any(_is_broken(other) for other in involved):
        return None
    expected, found, advice = finding.expected, finding.found, finding.advice
    secrets = [other.secret_of for other in involved if isinstance(other, Scalar) and other.secret_of]
    if secrets:
        found = f"the value of the environment variable {secrets[0]} (not shown)"
        advice = f"correct {secrets[0]}"
        # A sentence about a rule repeats parts of it.
        expected = "a rule about a metric of this scenario" if finding.path[:1] == ("sla",) else expected
    place = node.place
    return Problem(place.file, place.line, place.column, where(path), expected, found, advice)


def reworded(error: Any, root: Node, keys: dict[Path, list[str]]) -> Problem | None:
    """One pydantic error (an item of `ValidationError.errors()`) as a problem.

    `keys` gives the keys that the mapping at a path may have.
    """
    path: Path = tuple(error["loc"])
    if path and path[-1] == "[key]":
        return _bad_key(path[:-1], root)
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(path, root, keys.get(_indexless(path[:-1]), []))
        case "missing":
            return _missing_key(path, root)
    cause = error.get("ctx", {}).get("error")
    node, _ = node_at(root, path)
    if error["type"] == "too_short" and isinstance(node, ListNode) and node.items:
        return None  # pydantic does not count the items that are wrong themselves; those are told already
    if isinstance(cause, Mismatch):
        return placed(Finding(path, cause.expected, cause.found, cause.advice), root)
    expected, advice = _words(error["type"], error.get("ctx", {}))
    return placed(Finding(path, expected, _found(error, node), advice), root)


def _found(error: Any, node: Node) -> str:
    match error["type"]:
        case "string_too_long" | "string_too_short" if isinstance(node, Scalar):
            return f"{len(node.text)} characters" if node.text else "empty text"
        case "too_long" | "too_short":
            count = _count(node)
            return f"{count} item{'s' * (count != 1)}" if count else "none"
    return kind_of(plain(node)) if not isinstance(node, Scalar) else kind_of(error["input"])


def _count(node: Node) -> int:
    match node:
        case MapNode():
            return len(node.entries)
        case ListNode():
            return len(node.items)
    return 1


def _words(kind: str, ctx: dict[str, Any]) -> tuple[str, str]:
    """What was expected and what to do, by pydantic's error type."""
    match kind:
        case "literal_error":
            known = ctx["expected"].replace("'", "").replace(" or ", ", ")
            return f"one of {known}", f"write one of {known}"
        case "string_type":
            return "text", "write text; a number or a truth value needs quotes"
        case "string_pattern_mismatch":
            return (
                "a name of lower-case letters, digits and _, starting with a letter",
                "rename it, for example redis_cache",
            )
        case "string_too_long":
            return f"at most {ctx['max_length']} characters", "shorten it"
        case "string_too_short":
            return "text that is not empty", "write some text, or remove the key"
        case "too_short":
            return f"at least {ctx['min_length']} item(s)", "add one"
        case "too_long":
            return f"at most {ctx['max_length']} item(s)", "remove some, or split the scenario"
        case "bool_type":
            return "true or false", "write true or false"
        case "tuple_type" | "list_type":
            return "a list", 'write a list: one item a line, each after "- "'
        case "dict_type" | "model_type" | "model_attributes_type":
            return "a mapping", "write key: value lines, indented below"
        case _:
            return "a valid value", "see scenarios/README.md, or `bench schema`"


def _unknown_key(path: Path, root: Node, known: list[str]) -> Problem:
    place = place_of_key(root, path)
    key = str(path[-1])
    listed = ", ".join(known[:_SHOWN_NAMES])
    meant = nearest(key, known)
    advice = f"write {quoted(meant)} if that was meant" if meant else "remove it"
    found = f"the unknown key {quoted(key)}"
    return Problem(
        place.file, place.line, place.column, where(path), f"one of the keys {listed}", found, advice
    )


def _missing_key(path: Path, root: Node) -> Problem | None:
    node, above = node_at(root, path[:-1])
    if _is_broken(node):
        return None
    key, place = path[-1], node.place
    return Problem(
        place.file, place.line, place.column, where(above), f"the key {key}", "none", f"add the key {key}"
    )


def _bad_key(path: Path, root: Node) -> Problem:
    place = place_of_key(root, path)
    expected = "a name of lower-case letters, digits and _, starting with a letter"
    found = quoted(str(path[-1]))
    return Problem(
        place.file, place.line, place.column, where(path), expected, found, "rename it, for example get"
    )


def _indexless(path: Path) -> Path:
    """List indexes and names that the file chooses replaced by "*": the form in which keys are looked up."""
    steps: list[str | int] = []
    for step in path:
        steps.append(
            "*" if isinstance(step, int) or (steps and steps[-1] in ("operations", "parameters")) else step
        )
    return tuple(steps)


def _is_broken(node: Node) -> bool:
    match node:
        case Scalar():
            return node.is_broken
        case MapNode():
            return False
    return any(_is_broken(item) for item in node.items)
