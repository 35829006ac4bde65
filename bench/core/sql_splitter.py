"""Cut SQL text into statements, as PostgreSQL's own lexer would see them. Pure.

The rules are those of the manual's chapter on lexical structure: quotes with doubled quotes, E'' with
backslashes (also where the string goes on in the next line), dollar quotes, nested comments, a
semicolon inside parentheses (CREATE RULE) or inside BEGIN ATOMIC ... END (a function's SQL body).
`standard_conforming_strings` is taken as on.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\n\r\f\v]+)
  | (?P<comment>--[^\n\r]*)
  | (?P<block>/\*)
  | (?P<string>'(?:[^']+|'')*(?:'|\Z))
  | (?P<name>"(?:[^"]+|"")*(?:"|\Z))
  | (?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"'(?:[^'\\]+|\\.|'')*(?:'|\\?\Z)", re.DOTALL)
_GOES_ON = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*)*[\n\r](?:[ \t\n\r\f\v]+|--[^\n\r]*[\n\r])*(?=')")
"""Between two parts of one string there is nothing but blanks and comments, and at least one new line."""
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_FIRST_WORDS = 6
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True)
class Statement:
    """A statement without its semicolon; `start` counts characters from the beginning of the text."""

    start: int
    text: str
    words: tuple[str, ...]
    """Its first words in capitals; quoted ones are not among them."""
    backslash: int = -1
    """Where a backslash stands outside of quotes, in characters of the text; -1: nowhere."""
    is_client_copy: bool = False
    """COPY FROM STDIN or TO STDOUT."""


@dataclass
class _Open:
    """The statement that is being read."""

    start: int = -1
    depth: int = 0
    backslash: int = -1
    is_client_copy: bool = False
    words: tuple[str, ...] = ()
    before: str = ""
    """The token before, in capitals if it is a word."""
    atomic_depth: int = 0

    def take_word(self, word: str) -> None:
        """Follow what decides about the statement's end."""
        word = word.upper()
        before, self.before = self.before, word
        if len(self.words) < _FIRST_WORDS:
            self.words += (word,)
        if self.words[0] == "COPY" and (before, word) in (("FROM", "STDIN"), ("TO", "STDOUT")):
            self.is_client_copy = True
        if self.atomic_depth:
            # `x.end` and `AS end` are names, not keywords.
            if word in ("CASE", "END") and before not in (".", "AS"):
                self.atomic_depth += 1 if word == "CASE" else -1
        elif (before, word) == ("BEGIN", "ATOMIC") and _makes_routine(self.words):
            self.atomic_depth = 1


def statements(text: str) -> list[Statement]:
    """Every statement of the text in order; what holds only blanks and comments is not one.

    Text that ends inside a quote or a comment belongs to the last statement: the server reports what
    is wrong with it.
    """
    found: list[Statement] = []
    open_ = _Open()
    at = 1 if text.startswith(_BYTE_ORDER_MARK) else 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None  # `other` takes anything
        kind, token_start, at = match.lastgroup, at, match.end()
        if kind in ("space", "comment"):
            continue
        if kind == "block":
            at, is_closed = _block_end(text, at)
            if is_closed:
                continue
        piece = match.group()
        if piece == ";" and not open_.depth and not open_.atomic_depth:
            _close(found, open_, text, token_start)
            open_ = _Open()
            continue
        if open_.start < 0:
            open_.start = token_start
        if kind == "word":
            if piece in ("e", "E") and text.startswith("'", at):
                at = _escaped_end(text, at)
                open_.before = "'"
            else:
                open_.take_word(piece)
            continue
        open_.before = piece[:1]
        if kind == "dollar":
            end = text.find(piece, at)
            at = len(text) if end < 0 else end + len(piece)
        elif piece == "(":
            open_.depth += 1
        elif piece == ")":
            open_.depth = max(0, open_.depth - 1)
        elif piece == "\\" and open_.backslash < 0:
            open_.backslash = token_start
    _close(found, open_, text, len(text))
    return found


def bare(statement: str) -> str:
    """The statement with every string, quoted name and comment blanked out, at the same length."""
    pieces: list[str] = []
    at = 0
    for start, end in quoted_stretches(statement):
        pieces += [statement[at:start], " " * (end - start)]
        at = end
    return "".join([*pieces, statement[at:]])


def quoted_stretches(text: str) -> list[tuple[int, int]]:
    """Start and end of every string, quoted name and comment: text that the server does not read as SQL."""
    found = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None  # `other` takes anything
        kind, piece, start, at = match.lastgroup, match.group(), at, match.end()
        if kind == "block":
            at, _ = _block_end(text, at)
        elif kind == "dollar":
            end = text.find(piece, at)
            at = len(text) if end < 0 else end + len(piece)
        elif piece in ("e", "E") and text.startswith("'", at):
            at = _escaped_end(text, at)
        elif kind not in ("comment", "string", "name"):
            continue
        found.append((start, at))
    return found


def literals(text: str) -> list[str]:
    """What stands in its strings, which may be a secret."""
    found = [text[start:end] for start, end in quoted_stretches(text)]
    return [inside for one in found if one[:1] in "'eE$" and (inside := one.strip("eE$'"))]


def place(text: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character of the text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _close(found: list[Statement], open_: _Open, text: str, end: int) -> None:
    if open_.start >= 0:
        found.append(
            Statement(
                open_.start, text[open_.start : end], open_.words, open_.backslash, open_.is_client_copy
            )
        )


def _makes_routine(words: tuple[str, ...]) -> bool:
    if words[:3] == ("CREATE", "OR", "REPLACE"):
        words = (words[0], *words[3:])
    return words[:2] in (("CREATE", "FUNCTION"), ("CREATE", "PROCEDURE"))


def _block_end(text: str, at: int) -> tuple[int, bool]:
    """Where the comment that was opened before `at` ends, and whether it does."""
    depth = 1
    for edge in _BLOCK_EDGE.finditer(text, at):
        depth += 1 if edge.group() == "/*" else -1
        if not depth:
            return edge.end(), True
    return len(text), False


def _escaped_end(text: str, at: int) -> int:
    """The end of an E string that opens at `at`, with all the lines that it goes on in."""
    while True:
        match = _ESCAPED.match(text, at)
        assert match is not None
        at = match.end()
        more = _GOES_ON.match(text, at)
        if more is None:
            return at
        at = more.end()
