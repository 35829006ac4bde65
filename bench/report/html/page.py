"""The form of every page: escaped text, elements, tables, badges, and the one style sheet.

A page is one file that loads nothing. Its policy allows exactly the scripts and styles that stand in it
(by their digests), so even a text that slipped through the escaping could not run or call out.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from bench.report.document import Column, columns
from bench.results.layout import plain

HERE = Path(__file__).parent
VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "wbr"})
SHAPES = {"PASS": "✔", "WARN": "▲", "INCONCLUSIVE": "?", "FAIL": "✖", "INVALID": "⊘"}
"""Each status has its word and its shape; colour only adds to them."""

# Control characters and lone surrogates are no HTML; marks of writing direction could turn a line around.
UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Html(str):
    """Text that is already HTML: the code that makes one vouches for its escaping."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Iterable[Child] | None"
"""What may stand in an element: text (escaped), Html (as it is), numbers, nothing, or several of these."""


def escape(text: str) -> Html:
    """Any text as HTML, safe between tags and in a quoted attribute; Html stays what it is."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(UNSHOWABLE.sub("\ufffd", text)))


def joined(children: Child) -> Html:
    """Children as one piece of HTML."""
    if children is None:
        return Html()
    if isinstance(children, str):
        return escape(children)
    if isinstance(children, int | float):
        return Html(str(children))
    return Html("".join(joined(child) for child in children))


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """`<tag attributes>children</tag>`; `class_` is class, `aria_label` is aria-label.

    An attribute that is None or False is left out, one that is True has no value.
    """
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in VOID:
        return Html(f"<{tag}{shown}>")
    return Html(f"<{tag}{shown}>{joined(children)}</{tag}>")


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.removesuffix("_").replace("_", "-")
    return (
        f" {name}"
        if value is True
        else f' {name}="{escape(value if isinstance(value, str) else str(value))}"'
    )


def table(
    heads: str | Sequence[Column],
    rows: Sequence[Sequence[Child]],
    caption: Child,
    narrow: Literal["scroll", "cards"] = "scroll",
) -> Html:
    """A table whose first cell of each row is its head; nothing for no rows. None and "" are shown as a dash.

    `heads`: also as text that `columns` reads. `rows`: as many cells as there are columns. On a narrow
    screen it scrolls by itself, or each row becomes a card with the columns' titles beside its cells.
    """
    if not rows:
        return Html()
    heads = columns(heads) if isinstance(heads, str) else heads
    head = element("tr", [element("th", one.title, scope="col", class_=_side(one)) for one in heads])
    titled = narrow == "cards"
    body = [
        element(
            "tr", [_cell(one, n, cell, titled) for n, (one, cell) in enumerate(zip(heads, row, strict=True))]
        )
        for row in rows
    ]
    parts = (element("caption", element("span", caption)), element("thead", head), element("tbody", body))
    return element(
        "div",
        element("table", *parts, class_="cards-when-narrow" if titled else None),
        class_="scroll",
        role="region",
        tabindex=0,
        aria_label=Html(re.sub(r"<[^>]*>", "", joined(caption))),
    )


def _cell(head: Column, number: int, content: Child, titled: bool) -> Html:
    empty = content is None or content in ("", "-")
    shown = "-" if empty else content
    title = head.title if titled and number else None
    if number == 0:
        return element("th", shown, scope="row", class_=_side(head))
    return element("td", shown, class_=_side(head), data_title=title, data_empty=empty and titled)


def _side(head: Column) -> str | None:
    return "number" if head.numeric else None


def badge(status: object, word: str | None = None) -> Html:
    """A status (of bench.judge.verdict, or any word) as its shape and its word, or another, in its colour."""
    name = str(getattr(status, "name", status)).upper()
    shape = element("span", SHAPES.get(name, "•"), aria_hidden="true", class_="shape")
    kind = name.lower() if name in SHAPES else "neutral"
    return element("span", shape, " ", name if word is None else word, class_=f"badge {kind}")


def advised(text: str, advice: str | None, class_: str | None = None) -> list[Child]:
    """A sentence, and below it what to do, if there is something."""
    todo = element("div", element("strong", "What to do: "), advice, class_=class_) if advice else None
    return [element("div", text), todo]


def details(summary: Child, *content: Child, opened: bool = False) -> Html:
    """Content behind a line that opens it; printed it is open."""
    return element("details", element("summary", summary), *content, open=opened)


def section(title: str, *content: Child, anchor: str | None = None) -> Html:
    """A part of the page under its own heading; nothing where there is no content."""
    body = joined(content)
    if not body:
        return body
    name = anchor or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return element("section", element("h2", title, id=name), body, aria_labelledby=name)


def data_block(name: str, value: object) -> Html:
    """JSON in the page, for its scripts: `JSON.parse(document.getElementById(name).textContent)`.

    Raises ValueError for NaN and infinity, TypeError for what JSON does not know.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"), default=plain)
    # Neither "</script>" nor "<!--" may stand in a script element; all beyond ASCII is escaped already.
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Html(f'<script type="application/json" id="{escape(name)}">{safe}</script>')


@cache
def resource(name: str) -> str:
    """The text of a file beside this module, such as `style.css` or `vendor/uPlot.min.css`."""
    return (HERE / name).read_text(encoding="utf-8")


def page(
    title: str,
    body: Child,
    scripts: Sequence[str] = (),
    styles: Sequence[str] = (),
    refresh_s: int | None = None,
) -> str:
    """A whole document; `scripts` and `styles` are source texts of our own that are put into it.

    Styles stand after the style sheet; scripts run at the end of the body, in order. A browser loads the page
    anew every `refresh_s` seconds, where that is given.
    """
    sheets = [resource("style.css"), *styles]
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digests(scripts)}",
            f"style-src {_digests(sheets)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", http_equiv="refresh", content=refresh_s) if refresh_s else None,
        element("link", rel="icon", href="data:,"),
        element("title", title),
        [Html(f"<style>{sheet}</style>") for sheet in sheets],
    ]
    parts = [body, [Html(f"<script>{script}</script>") for script in scripts]]
    document = element("html", "\n", element("head", head), "\n", element("body", parts), lang="en")
    return f"<!doctype html>\n{document}\n"


def _digests(sources: Sequence[str]) -> str:
    return " ".join(_digest(source) for source in sources) or "'none'"


def _digest(source: str) -> str:
    # The parser reads CR LF and CR as LF; a source with them would not match its digest.
    if "\r" in source or re.search(r"</(script|style)|<!--", source, re.IGNORECASE):
        raise ValueError("a script or style must have Unix line ends, and must not end its own element")
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
