"""Something in a scenario that does not fit, and the path of keys and indexes that leads to it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from bench.core.units import quoted

Path = tuple[str | int, ...]


def where(path: Path) -> str:
    """A path as people write it: workloads[0].operations.get; the file itself for the empty path."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + quoted(step)[1:-1]
    return text or "file"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` was most likely meant to be, None if none is close."""
    # Similarity takes quadratic time: no one misspells a name of hundreds of characters.
    matches = difflib.get_close_matches(word[:100].lower(), sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


@dataclass(frozen=True)
class Violation:
    """Something that does not fit, at `path` from the object that was checked.

    `involves` are the other places whose values the sentence shows: if one came from the
    environment, the sentence must not be shown as it is.
    """

    path: Path
    expected: str
    found: str
    advice: str
    involves: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.path))}: expected {self.expected}, found {self.found}; {self.advice}"

    def under(self, *prefix: str | int) -> "Violation":
        """The same, seen from an outer object."""
        others = tuple((*prefix, *path) for path in self.involves)
        return Violation((*prefix, *self.path), self.expected, self.found, self.advice, others)
