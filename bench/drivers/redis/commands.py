"""Redis commands as templates: the words of a scenario, with placeholders become fixed-width fields."""

from __future__ import annotations

import re

from bench.drivers.values import RUN_WIDTH, SEQUENCE_WIDTH, value_content
from bench.engine.wire.layout import FROM_ARRIVAL, FROM_RUN, FROM_VARIABLE
from bench.plan.program import Field

_PLACEHOLDER = re.compile(r"\{(key|value|seq|run)\}")


def key_width(count: int) -> int:
    """Decimal digits of the largest of `count` keys."""
    return len(str(count - 1))


class CommandWriter:
    """Encodes commands one after the other as RESP arrays, noting where their fields stand."""

    def __init__(
        self, *, prefix: str, key_count: int, key_variable: int, value_bytes: int, seed: int
    ) -> None:
        self._prefix = prefix.encode()
        self._key_width = key_width(key_count) if key_count else 0
        self._key_variable = key_variable
        self._value, self._value_digits = value_content(value_bytes, seed) if value_bytes else (b"", 0)
        self.content = bytearray()
        self.fields: list[Field] = []

    def add(self, words: tuple[str, ...]) -> None:
        """Append one command."""
        self.content += b"*%d\r\n" % len(words)
        for word in words:
            text, fields = self._expand(word)
            self.content += b"$%d\r\n" % len(text)
            start = len(self.content)
            self.fields += [Field(start + f.offset, f.width, f.source, f.variable) for f in fields]
            self.content += text + b"\r\n"

    def _expand(self, word: str) -> tuple[bytes, list[Field]]:
        text = bytearray()
        fields: list[Field] = []
        for number, piece in enumerate(_PLACEHOLDER.split(word)):
            if number % 2 == 0:
                text += piece.encode()
            elif piece == "key":
                text += self._prefix
                fields.append(Field(len(text), self._key_width, FROM_VARIABLE, self._key_variable))
                text += b"0" * self._key_width
            elif piece == "seq":
                fields.append(Field(len(text), SEQUENCE_WIDTH, FROM_ARRIVAL))
                text += b"0" * SEQUENCE_WIDTH
            elif piece == "run":
                fields.append(Field(len(text), RUN_WIDTH, FROM_RUN))
                text += b"0" * RUN_WIDTH
            else:
                fields.append(Field(len(text), self._value_digits, FROM_ARRIVAL))
                text += self._value
        return bytes(text), fields


def encode(*words: bytes | str | int) -> bytes:
    """One command as a RESP array of bulk strings."""
    parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
