"""What the YAML parser complains about, said in our form: expected, found, what to do."""

from typing import Any

import yaml

from bench.core.errors import Problem
from bench.core.units import quoted

MAX_DEPTH = 32  # the deepest scenario needs 7

# (words in the parser's message, expected, found, advice)
_WORDS = [
    ("character '\\t'", "spaces", "a tab", "indent with spaces"),
    ("cannot start any token", "a value", "a character that cannot start one", "put the value in quotes"),
    (
        "mapping values are not allowed",
        "one value",
        'a second ": " in it',
        "quote the value, or indent the line above",
    ),
    (
        "expected ':'",
        'a line "key: value"',
        'no ": " after the key',
        'add ": " after the key, or indent the line',
    ),
    (
        "expected ',' or ']'",
        '"," or "]"',
        "something else in a list in brackets",
        "close the bracket or add the comma",
    ),
    ("expected ',' or '}'", '"," or "}"', "something else in braces", "close the brace or add the comma"),
    ("unexpected end of stream", "a closing quote", "the end of the file", "close the quote"),
    ("unknown escape", "a known escape after \\", "an unknown one", "use single quotes, or write \\\\"),
    ("expected key", "a key of the same indentation", "something else", "align the line with its neighbours"),
    ("expected '-' indicator", 'a list item "- "', "something else", "align the line with the items above"),
    ("block collections are not allowed", "one value", "a list or mapping", "put it on a line of its own"),
    ("block sequence entries are not allowed", "one value", 'a "- "', "put the list on lines of its own"),
    ("block mapping", "a consistent indentation", "another", "align the line with its neighbours"),
    ("<document start>", "key: value lines", "something after the first value", "write key: value"),
    ("undefined tag handle", "a value without a tag", "a tag", "remove the tag"),
    ("duplicate anchor", "every anchor once", "one again", "rename the anchor"),
    # Some parsers read ahead and have a limit of their own, far above ours: they stop before we can.
    ("nesting depth", f"at most {MAX_DEPTH} levels of nesting", "more", "flatten this part"),
]


def syntax_problem(error: yaml.YAMLError | UnicodeError, text: str, file: str) -> Problem:
    """The one problem that the parser's error stands for, at the place it gives."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    said = f"{getattr(error, 'context', None) or ''} {getattr(error, 'problem', None) or ''}".strip()
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    if _starts_with_tab(text, line):
        return Problem(file, line, 1, "file", "spaces", "a tab", "indent with spaces")
    for words, expected, found, advice in _WORDS:
        if words in said:
            return Problem(file, line, column, "file", expected, found, advice)
    found = quoted(said or _first_line(error))[1:-1]
    advice = "check quotes, brackets and indentation here"
    return Problem(file, line, column, "file", "valid YAML", found, advice)


def _starts_with_tab(text: str, line: int) -> bool:
    """Whether the line's indentation has a tab, the most common cause of many different messages."""
    lines = text.split("\n")
    if not 0 < line <= len(lines):
        return False
    content = lines[line - 1]
    return "\t" in content[: len(content) - len(content.lstrip())]


def _first_line(error: Any) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
