"""Text that others wrote, such as a server's error, made harmless to show: control characters are escaped,
and secrets are taken out.

A terminal obeys control characters: they clear the screen, rename its window, write into its input.
Marks of writing direction turn a line around, and characters without width hide in a name. Each is
shown as its escape. Those beyond the first 32 are written as JSON writes them, so JSON stays JSON and
means the same. Servers quote what they were sent and libraries show URLs, so both may repeat a secret.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_ENDS = "\u2028\u2029"
_UNSEEN = "\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\uffff\U000e0000-\U000e0fff"
_SURROGATES = "\ud800-\udfff"
_HARMFUL = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_LINE_ENDS}{_UNSEEN}{_SURROGATES}]")
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")


def visible(text: str) -> str:
    """The text with its harmful characters as escapes; line ends and tabs stay."""
    return _HARMFUL.sub(_escape, text) if _HARMFUL.search(text) else text


def one_line(text: str) -> str:
    """The same on one line, so that it cannot pretend to be a line of ours."""
    return visible(" ".join(text.splitlines()) if len(text.splitlines()) > 1 else text.rstrip("\r\n"))


def visible_but_colour(text: str) -> str:
    """The same for text of ours that is coloured: those sequences alone stay."""
    if not _HARMFUL.search(text):
        return text
    parts = _COLOUR.split(text)
    return "".join(part if number % 2 else visible(part) for number, part in enumerate(parts))


def all_visible(value: Any) -> Any:
    """Lists and objects of JSON with every text in them made visible; other values as they are."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [all_visible(item) for item in value]
    return value


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return f"\\x{code:02x}"
    if code > 0xFFFF:
        high, low = divmod(code - 0x10000, 0x400)
        return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
    return f"\\u{code:04x}"


def beginning(body: bytes, secrets: Iterable[str | None] = ()) -> str | None:
    """The beginning of an answer on one line, without secrets, those known too; None for nothing."""
    text = one_line(redacted(body.decode(errors="ignore"), {*secrets, *known_secrets()})).strip()
    return text or None


_known_secrets: set[str] = set()


def remember_secrets(values: Iterable[str]) -> None:
    """What came from the environment into a scenario of this process: servers repeat what they were sent."""
    _known_secrets.update(value for value in values if len(value) >= SHORTEST)


def known_secrets() -> frozenset[str]:
    """All that was remembered."""
    return frozenset(_known_secrets)


SHORTEST = 4
"""A shorter value hides nothing, and taken out of every text it would only spoil them."""
HIDDEN = "***"
LONG = 12
"""A secret of so many characters stands nowhere by chance: it is taken out in the middle of a word, too."""


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """The text without the secrets, as they are and as a URL writes them.

    A short one is taken out where it stands by itself, not where its letters are part of a word: the user
    whose password is `p` has no permissions, not "no ***ermissions".
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for form in dict.fromkeys((secret, quote(secret, safe=""))):
            text = re.sub(_place_of(form), HIDDEN, text)
    return text


def _place_of(secret: str) -> str:
    if len(secret) >= LONG:
        return re.escape(secret)
    before = r"(?<!\w)" if re.match(r"\w", secret[0]) else ""
    after = r"(?!\w)" if re.match(r"\w", secret[-1]) else ""
    return before + re.escape(secret) + after
