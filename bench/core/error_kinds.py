"""Errors that differ only in the values they name are one kind: MOVED to any slot, a duplicate of any key.

A kind is a text with `#` for each value, that is for each run of letters and digits with a digit in it,
with the dots, colons and hyphens inside of it: a slot, an address, an id. A status or a SQLSTATE at the
beginning is no value. `bench.engine.wire.error_texts` is the same for compiled code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OTHERS = "other errors"
_CODE = re.compile(r"HTTP .*|[0-9A-Z]{5} ", re.DOTALL)
_RUN = re.compile(r"[0-9A-Za-z]+(?:[.:-][0-9A-Za-z]+)*")
_DIGIT = re.compile(r"[0-9]")


def kind_of(text: str) -> str:
    """The text with its values replaced. A kind is its own kind."""
    code = _CODE.match(text)
    at = code.end() if code else 0
    return text[:at] + _RUN.sub(lambda run: "#" if _DIGIT.search(run[0]) else run[0], text[at:])


@dataclass
class _Kind:
    text: str
    """As it was said, while it was always said so; then the kind."""
    example: str
    count: int = 0


class ErrorKinds:
    """Counts errors by operation and kind; beyond `most` kinds all others are one."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._found: dict[tuple[str, str], _Kind] = {}

    def add(self, operation: str, text: str, count: int = 1, example: str | None = None) -> None:
        """Count an error; `example` is how the server said it where `text` is a kind already."""
        kind = kind_of(text)
        known = self._found.get((operation, kind))
        if known is None:
            if self._most is not None and len(self._found) >= self._most:
                kind, text, example = OTHERS, OTHERS, None
            known = self._found.setdefault((operation, kind), _Kind(text, example or text))
        if known.text != text:
            known.text = kind
        known.count += count

    def __bool__(self) -> bool:
        """Whether there was any."""
        return bool(self._found)

    def entries(self) -> list[dict[str, Any]]:
        """As run.json has them, the most frequent first; an example where it says more than the text."""
        return [
            {"operation": operation, "text": one.text, "count": one.count}
            | ({"example": one.example} if one.example != one.text else {})
            for (operation, _), one in sorted(self._found.items(), key=lambda item: -item[1].count)
        ]


def error_text(error: Mapping[str, Any]) -> str:
    """An entry of `errors` in run.json for people: its text, and an example where there is one."""
    text, example = str(error.get("text", "")), error.get("example")
    return f"{text} (such as: {example})" if example else text
