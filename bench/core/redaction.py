"""Secrets taken out of texts that others wrote: servers quote what they were sent, libraries show URLs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

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
