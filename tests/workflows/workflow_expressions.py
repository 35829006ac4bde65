"""The expressions of workflows as far as ours use them.

That is contexts, texts, `||`, `&&`, `!`, `==`, `!=` and the status functions. Whatever else is written is
refused, so that a workflow cannot say something here that it does not say there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\|\||&&|==|!=|!|\(|\))|([A-Za-z_][\w.-]*)|(-?\d+(?:\.\d+)?))")
WHOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class Unsupported(ValueError):  # noqa: N818 - what happened is the name
    """An expression that this runner does not know."""


class Expression:
    """An evaluator by recursive descent; `contexts` maps github, env, inputs ... to values."""

    def __init__(self, text: str, contexts: dict[str, Any], functions: dict[str, Callable[[], bool]]) -> None:
        self._text, self._contexts, self._functions = text, contexts, functions
        self._tokens = self._scan(text)

    def value(self) -> Any:
        """What it comes to. Raises Unsupported."""
        found = self._either()
        if self._tokens:
            raise Unsupported(f"expected the end of {self._text!r}, found {self._tokens[0]!r}")
        return found

    def _scan(self, text: str) -> list[str]:
        tokens, at = [], 0
        text = text.rstrip()
        while at < len(text):
            match = TOKEN.match(text, at)
            if match is None:
                raise Unsupported(f"cannot read {text[at:]!r} in {text!r}")
            tokens.append(match[0].strip())
            at = match.end()
        return tokens

    def _either(self) -> Any:
        found = self._both()
        while self._take("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:
        found = self._equal()
        while self._take("&&"):
            other = self._equal()
            found = found and other
        return found

    def _equal(self) -> Any:
        found = self._single()
        if self._take("=="):
            return str(found) == str(self._single())
        if self._take("!="):
            return str(found) != str(self._single())
        return found

    def _single(self) -> Any:
        if self._take("!"):
            return not self._single()
        if self._take("("):
            found = self._either()
            self._expect(")")
            return found
        if not self._tokens:
            raise Unsupported(f"{self._text!r} ends too early")
        token = self._tokens.pop(0)
        if token.startswith("'"):
            return token[1:-1].replace("''", "'")
        if self._take("("):
            self._expect(")")
            if token not in self._functions:
                raise Unsupported(f"the function {token}() is not known here")
            return self._functions[token]()
        if token in ("true", "false"):
            return token == "true"
        if re.fullmatch(r"-?\d+(\.\d+)?", token):
            return float(token)
        return self._lookup(token)

    def _lookup(self, name: str) -> Any:
        head, *path = name.split(".")
        if head not in self._contexts:
            raise Unsupported(f"the context {head} is not known here")
        found = self._contexts[head]
        for part in path:
            found = found.get(part, "") if isinstance(found, dict) else ""
        return found

    def _take(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise Unsupported(f"expected {token!r} in {self._text!r}")


def filled(text: str, contexts: dict[str, Any], functions: dict[str, Callable[[], bool]]) -> str:
    """A text with each `${{ expression }}` in it replaced by its value."""

    def shown(match: re.Match[str]) -> str:
        found = Expression(match[1], contexts, functions).value()
        return str(found).lower() if isinstance(found, bool) else str(found)

    return WHOLE.sub(shown, text)


def holds(condition: str, contexts: dict[str, Any], functions: dict[str, Callable[[], bool]]) -> bool:
    """Whether a step's `if` lets it run; without a word about status it implies success()."""
    match = WHOLE.fullmatch(condition.strip())
    text = match[1] if match else condition
    asks = any(f"{name}(" in text for name in ("success", "failure", "always", "cancelled"))
    return bool(Expression(text, contexts, functions).value()) and (asks or functions["success"]())
