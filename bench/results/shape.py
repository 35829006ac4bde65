"""What a shape is, and whether a value that was read from JSON has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

HIGHEST = 2**63 - 1
"""No time and no count of a run is beyond this."""


@dataclass(frozen=True)
class Each:
    """An object of any keys, each with a value of the same shape."""

    shape: Any


@dataclass(frozen=True)
class Needed:
    """Something that must be there in every entry and is never null."""

    shape: Any


def misshapen(found: object, shape: Any, place: str = "") -> str | None:
    """The first thing in `found` that is not as `shape` says, as a sentence with its place, or None.

    A shape is str, bool, int (whole), float (any number) or None (anything), a list of one shape, or an
    object of some keys. Without Needed a text, a number or a flag may be null, and any key may be absent.
    """
    if isinstance(shape, Needed):
        return _refused(place, shape.shape, found) if found is None else misshapen(found, shape.shape, place)
    if shape is None:
        return None
    if isinstance(shape, type):
        return None if found is None or is_of(found, shape) else _refused(place, shape, found)
    if not isinstance(found, list if isinstance(shape, list) else dict):
        return _refused(place, shape, found)
    return next(
        (
            problem
            for step, part, value in _parts(found, shape, place)
            if (problem := misshapen(value, part, step))
        ),
        None,
    )


def _parts(found: Any, shape: Any, place: str) -> list[tuple[str, Any, Any]]:
    """Place, shape and value of everything in a list or an object that is looked at."""
    if isinstance(shape, list):
        return [(f"{place}[{index}]", shape[0], value) for index, value in enumerate(found)]
    before = f"{place}." if place else ""
    if isinstance(shape, Each):
        return [(f"{before}{key}", shape.shape, value) for key, value in found.items()]
    return [
        (f"{before}{key}", part, found.get(key))
        for key, part in shape.items()
        if key in found or isinstance(part, Needed)
    ]


def is_of(found: object, kind: type) -> bool:
    """Whether `found` is a text, a flag or a number of this kind that a run can hold."""
    if isinstance(found, bool):
        return kind is bool
    if kind in (str, bool):
        return isinstance(found, kind)
    if isinstance(found, int):
        return -HIGHEST <= found <= HIGHEST
    return kind is float and isinstance(found, float) and math.isfinite(found)


def _refused(place: str, shape: Any, found: object) -> str:
    return f"{place}: expected {_named(shape)}, found {kind_of(found)}"


def _named(shape: Any) -> str:
    if isinstance(shape, type):
        return NAMES[shape]
    return "a list" if isinstance(shape, list) else "an object"


def kind_of(found: object) -> str:
    """What `found` is, in JSON's words: "a whole number"; "nothing" for null."""
    if isinstance(found, int | float) and not -HIGHEST <= found <= HIGHEST:
        return "a number out of range"  # NaN, too
    return "nothing" if found is None else NAMES.get(type(found), type(found).__name__)


NAMES = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
