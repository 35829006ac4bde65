"""Bodies of requests: JSON with numbers in it, and plain text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.engine.wire.layout import SPACE_PADDED, ZERO_PADDED
from bench.scenario.placeholders import PLACEHOLDER, VALUE

if TYPE_CHECKING:
    from bench.drivers.writer import TemplateWriter


def write_json(writer: TemplateWriter, value: Any) -> None:
    """Write a JSON value. A text that is one placeholder becomes a number; JSON knows no leading zeros,
    so the number is padded with spaces, which JSON ignores. Inside a longer text it is padded with zeros.
    """
    match value:
        case dict():
            for count, (key, item) in enumerate(value.items()):
                writer.literal(b"," if count else b"{")
                writer.text(json.dumps(key), ZERO_PADDED)
                writer.literal(b":")
                write_json(writer, item)
            writer.literal(b"}" if value else b"{}")
        case list() | tuple():
            for count, item in enumerate(value):
                writer.literal(b"," if count else b"[")
                write_json(writer, item)
            writer.literal(b"]" if value else b"[]")
        case str() if (match := PLACEHOLDER.fullmatch(value)) and match[1] != VALUE:
            writer.placeholder(match[1], SPACE_PADDED)
        case str():
            writer.text(json.dumps(value), ZERO_PADDED)
        case _:
            writer.literal(json.dumps(value).encode())


def write_json_text(writer: TemplateWriter, text: str) -> None:
    """Write JSON that the scenario has as text: a placeholder outside strings is a number."""
    is_inside = is_escaped = False
    at = 0
    for match in PLACEHOLDER.finditer(text):
        for character in text[at : match.start()]:
            if is_escaped:
                is_escaped = False
            elif character == "\\" and is_inside:
                is_escaped = True
            elif character == '"':
                is_inside = not is_inside
        writer.literal(text[at : match.start()].encode())
        writer.placeholder(match[1], ZERO_PADDED if is_inside else SPACE_PADDED)
        at = match.end()
    writer.literal(text[at:].encode())
