"""Placeholders: `{name}` inside a command, a statement or a request, replaced for every arrival."""

import re
from typing import NamedTuple

# A word in braces. Text such as {"a": 1} is not one, so JSON can be sent as it stands.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

KEY, VALUE, SEQUENCE, RUN = "key", "value", "seq", "run"
RESERVED = (KEY, VALUE, SEQUENCE, RUN)
"""Names that no parameter may have."""


class Piece(NamedTuple):
    """A stretch of a text: a placeholder's name, or literal text."""

    text: str
    is_placeholder: bool


def pieces_of(text: str) -> list[Piece]:
    """The text cut at its placeholders."""
    return [
        Piece(piece, number % 2 == 1)
        for number, piece in enumerate(PLACEHOLDER.split(text))
        if piece or number % 2 == 1
    ]


def placeholders_in(text: str) -> list[str]:
    """Names of the placeholders of a text, each once, in order."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))
