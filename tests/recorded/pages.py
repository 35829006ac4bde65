"""Pages in lines that a diff can show: one for each piece of a page, long things by what identifies them."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

LONGEST = 160
"""Characters of an attribute; a curve has thousands."""
IN_LINE = frozenset(("a", "b", "br", "code", "col", "em", "option", "span", "strong", "td", "th"))
"""Tags that begin no line: a row of a table is one."""
FEW = 8
"""Entries of a list that are written out."""


def lines_of(page: str) -> str:
    """Every tag with its attributes and every text of a page, in lines.

    Style sheets, scripts and the lists of what is drawn are named by their length and digest.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return "\n".join(line.rstrip() for line in reader.lines if line.strip()) + "\n"


def identified(text: str, unit: str = "characters") -> str:
    """ "4711 characters 1f2e3d4c5b6a": as good as the text itself, to see whether it has changed."""
    return f"{len(text)} {unit} {hashlib.sha256(text.encode()).hexdigest()[:12]}"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self._open: tuple[str, dict[str, str | None]] = ("", {})
        self._text = ""
        """What stood since the last tag: versions of Python cut it into other pieces."""

    def close(self) -> None:
        super().close()
        self._end_text()

    def handle_decl(self, decl: str) -> None:
        self._add(f"<!{decl}>", in_line=False)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._end_text()
        self._open = (tag, dict(attrs))
        self._add(f"<{tag}{''.join(_attribute(*one) for one in attrs)}>", in_line=tag in IN_LINE)

    def handle_endtag(self, tag: str) -> None:
        self._end_text()
        self._open = ("", {})
        self._add(f"</{tag}>", in_line=True)
        if tag not in IN_LINE:
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        self._text += data

    def _end_text(self) -> None:
        (tag, attributes), text, self._text = self._open, self._text, ""
        if not text:
            return
        if tag == "script" and attributes.get("type") == "application/json":
            self.lines += json.dumps(_outlined(json.loads(text)), indent=1, ensure_ascii=False).splitlines()
        elif tag in ("script", "style"):
            self._add(identified(text), in_line=True)
        else:
            self._add(re.sub(r"\s+", " ", text), in_line=True)

    def _add(self, text: str, *, in_line: bool) -> None:
        if in_line or not self.lines[-1]:
            self.lines[-1] += text
        else:
            self.lines.append(text)


def _attribute(name: str, value: str | None) -> str:
    if value is None:
        return f" {name}"
    return f' {name}="{value if len(value) <= LONGEST else f"{value[:40]}… {identified(value)}"}"'


def _outlined(value: Any) -> Any:
    """JSON whose long lists of numbers are one text."""
    if isinstance(value, dict):
        return {key: _outlined(one) for key, one in value.items()}
    if (
        isinstance(value, list)
        and len(value) > FEW
        and not any(isinstance(one, dict | list) for one in value)
    ):
        text = json.dumps(value)
        return f"{len(value)} values from {value[0]} to {value[-1]}, {identified(text)}"
    if not isinstance(value, list):
        return value
    if len(value) <= FEW or any(isinstance(one, dict | list) for one in value):
        return [_outlined(one) for one in value]
    return f"{len(value)} values from {value[0]} to {value[-1]}, {identified(json.dumps(value))}"
