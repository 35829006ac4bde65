"""What the writers of both files share: texts that come from elsewhere as YAML values and as comments."""

import re
import textwrap
from collections.abc import Iterable, Iterator

from bench.core.units import quoted

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = ("null", "true", "false", "yes", "no", "on", "off")
_ESCAPED = {'"': '\\"', "\\": "\\\\"}


def value(text: str) -> str:
    """A text as a YAML scalar: in quotes but for a plain word."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return '"' + "".join(_ESCAPED.get(letter) or _letter(letter) for letter in text) + '"'


def _letter(letter: str) -> str:
    return letter if letter.isascii() and letter.isprintable() else f"\\U{ord(letter):08X}"


def flow(entries: Iterable[tuple[str, str]]) -> str:
    """`{key: value, ...}` of values that are YAML already."""
    return "{" + ", ".join(f"{key}: {text}" for key, text in entries) + "}"


def flow_list(texts: Iterable[str]) -> str:
    """`[value, ...]`."""
    return "[" + ", ".join(map(value, texts)) + "]"


def shown(text: str, limit: int = 200) -> str:
    """A text for a comment: on one line, printable and not long."""
    return quoted(" ".join(text.split()), limit)[1:-1]


def comment(text: str, indent: str = "") -> Iterator[str]:
    """Lines of a comment; its words stay whole."""
    mark = f"{indent}# "
    yield from textwrap.wrap(
        shown(text, 1000),
        WIDTH,
        initial_indent=mark,
        subsequent_indent=mark,
        break_long_words=False,
        break_on_hyphens=False,
    )
