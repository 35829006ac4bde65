"""A scenario file as a tree of nodes that know their place: the first step of loading a scenario.

A scenario file is untrusted text. The tree is built from the parser's events, one at a time, so that
nesting and size are bounded while reading and nothing of the file is ever executed. An alias shares
the node of its anchor, and every node knows how large it is when all aliases are written out: a file
that explodes is rejected by arithmetic, not by running out of memory. A key `<<` merges mappings, as
YAML 1.1 defines it: what stands beside it wins, and of several the first.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from bench.core.errors import Problem, ScenarioError
from bench.core.units import quoted
from bench.scenario.problems import Path as Keys
from bench.scenario.problems import where

MAX_FILE_BYTES = 2**20

# What YAML calls printable, and the byte order mark that editors leave at the start.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def file_name(path: Path) -> str:
    """The path, printable: names that are not UTF-8 and control characters cannot disturb a terminal."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_text(path: Path, most_bytes: int = MAX_FILE_BYTES) -> str:
    """The file's text. Raises ScenarioError for what is missing, no file, too large or no text."""
    data = _read_bytes(path, most_bytes)
    if len(data) > most_bytes:
        expected = f"at most {most_bytes // 2**20} MiB"
        raise _refused(path, expected, "a larger file", "split the scenario, or check the path")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        found = f"the byte 0x{data[error.start]:02x}"
        raise _refused(path, "UTF-8 text", found, "save the file as UTF-8", (line, column)) from None
    if match := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        found = f"the control character U+{ord(match[0]):04X}"
        raise _refused(path, "printable text", found, "remove it", (line, column))
    return text


def _read_bytes(path: Path, most_bytes: int) -> bytes:
    advice = "check the path; `bench list` shows the scenarios"
    try:
        # A pipe or a device could block or never end; opening one is enough to hang.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "a pipe, socket or device"
            raise _refused(path, "a regular file", kind, advice)
        with path.open("rb") as file:
            return file.read(most_bytes + 1)
    except FileNotFoundError:
        raise _refused(path, "a scenario file", "no such file", advice) from None
    except OSError as error:
        raise _refused(path, "a readable file", str(error.strerror or error), advice) from None
    except ValueError:  # a zero byte in the name
        raise _refused(path, "the path of a file", "a path that no file can have", advice) from None


def _refused(
    path: Path, expected: str, found: str, advice: str, place: tuple[int, int] = (0, 0)
) -> ScenarioError:
    return ScenarioError([Problem(file_name(path), *place, "file", expected, found, advice)])


MAX_DEPTH = 32  # the deepest scenario needs 7

_QUOTE = "quote the value, or indent the line above"
_ADD_COLON = 'add ": " after the key, or indent the line'
_CLOSE_BRACKET = "close the bracket or add the comma"
# (words in the parser's message, expected, found, advice)
_COMPLAINTS = [
    ("character '\\t'", "spaces", "a tab", "indent with spaces"),
    ("cannot start any token", "a value", "a character that cannot start one", "put the value in quotes"),
    ("mapping values are not allowed", "one value", 'a second ": " in it', _QUOTE),
    ("expected ':'", 'a line "key: value"', 'no ": " after the key', _ADD_COLON),
    ("expected ',' or ']'", '"," or "]"', "something else in a list in brackets", _CLOSE_BRACKET),
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
    complaint = f"{getattr(error, 'context', None) or ''} {getattr(error, 'problem', None) or ''}".strip()
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    if _starts_with_tab(text, line):
        return Problem(file, line, 1, "file", "spaces", "a tab", "indent with spaces")
    for words, expected, found, advice in _COMPLAINTS:
        if words in complaint:
            return Problem(file, line, column, "file", expected, found, advice)
    found = quoted(complaint or _first_line(error))[1:-1]
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


MAX_NODES = 50_000  # a scenario of 20 workloads with 50 operations each has half of that
MAX_REPORTED_BEFORE = 500

# Parsing events in C is 20 times faster; both give the same events.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Place:
    """Where something is written. Lines and columns count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0

    def problem(self, path: Keys | str, expected: str, found: str, advice: str) -> Problem:
        """What is wrong here, with the path of keys that leads to it."""
        shown = path if isinstance(path, str) else where(path)
        return Problem(self.file, self.line, self.column, shown, expected, found, advice)


@dataclass(frozen=True)
class Scalar:
    """A single value as it was written. A plain one may be a number; a quoted one is text."""

    text: str
    place: Place
    is_plain: bool = True
    secret_of: str | None = None
    """The environment variable that the text came from, which must then not be shown."""
    is_broken: bool = False
    """A problem has been reported already: whatever else is wrong here follows from it."""
    is_data_text: bool = False
    """In data, which travels to a server, it is text: it is in quotes, or a block of text."""
    size: int = 1
    depth: int = 1


@dataclass(frozen=True)
class ListNode:
    """A sequence."""

    items: tuple["Node", ...]
    place: Place
    size: int = field(init=False)
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", 1 + sum(item.size for item in self.items))
        object.__setattr__(self, "depth", 1 + max((item.depth for item in self.items), default=0))


@dataclass(frozen=True)
class MapNode:
    """A mapping: key text to the key's place and its value, in the order of the file."""

    entries: dict[str, tuple[Place, "Node"]]
    place: Place
    size: int = field(init=False)
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        nodes = [node for _, node in self.entries.values()]
        object.__setattr__(self, "size", 1 + sum(1 + node.size for node in nodes))
        object.__setattr__(self, "depth", 1 + max((node.depth for node in nodes), default=0))


Node = Scalar | ListNode | MapNode

MERGE = "<<"
EXTENSION = "x-"
"""How top-level keys begin whose values are only there to be referred to."""


def without_extensions(root: MapNode) -> MapNode:
    """The mapping without its `x-` blocks."""
    kept = {name: entry for name, entry in root.entries.items() if not name.startswith(EXTENSION)}
    return MapNode(kept, root.place)


def compose(text: str, file: str, *, has_lines: bool = True) -> tuple[Node | None, list[Problem]]:
    """The tree of one YAML document, None for an empty one, and the problems that do not stop reading.

    `file` names the source in problems; without `has_lines` places carry no line and column.
    Raises ScenarioError for text that is no YAML or that is too deep or too large.
    """
    composer = _Composer(file, has_lines)
    try:
        return composer.document(yaml.parse(text, Loader=_LOADER)), composer.problems
    except (yaml.YAMLError, UnicodeError) as error:
        problem = syntax_problem(error, text, file)
        if not has_lines:
            problem = replace(problem, line=0, column=0)
        raise ScenarioError([*composer.problems, problem]) from None


class _Composer:
    """Builds the tree bottom-up with an explicit stack: hostile nesting meets our limit, not Python's."""

    def __init__(self, file: str, has_lines: bool) -> None:
        self.file = file
        self.has_lines = has_lines
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[_Open] = []
        self.nodes = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        """Consume all events; the root of the first document."""
        root: Node | None = None
        documents = 0
        for event in events:
            match event:
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents == 2:
                        self.note(
                            event, "one document", "a second one after ---", "keep one scenario per file"
                        )
                        return root
                case yaml.AliasEvent():
                    root = self.place_node(self.aliased(event), event) or root
                case yaml.ScalarEvent():
                    self.refuse_tag(event)
                    is_plain = bool(event.implicit[0]) and event.style in (None, "")
                    node = Scalar(
                        event.value, self.place(event), is_plain=is_plain, is_data_text=not is_plain
                    )
                    root = self.finished(node, event.anchor, event) or root
                case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                    self.refuse_tag(event)
                    if len(self.open) >= MAX_DEPTH:
                        self.stop(
                            event, f"at most {MAX_DEPTH} levels of nesting", "more", "flatten this part"
                        )
                    self.open.append(_Open(event, isinstance(event, yaml.MappingStartEvent)))
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    opened = self.open.pop()
                    root = self.finished(self.closed(opened), opened.event.anchor, opened.event) or root
        return root

    def closed(self, opened: "_Open") -> Node:
        """The node of a collection whose end was reached."""
        place = self.place(opened.event)
        if not opened.is_map:
            return ListNode(tuple(opened.items), place)
        entries: dict[str, tuple[Place, Node]] = {}
        for merged in opened.merged:
            entries = {**merged.entries, **entries}
        return MapNode({**entries, **opened.entries}, place)

    def finished(self, node: Node, anchor: str | None, event: Any) -> Node | None:
        """A complete node: remember its anchor, hand it to its parent. The node if it is the root."""
        self.nodes += 1
        if self.nodes > MAX_NODES or node.size > MAX_NODES:
            self.stop(event, f"at most {MAX_NODES} values", "more", "split the scenario into several files")
        if anchor is not None:
            self.anchors[anchor] = node
        return self.place_node(node, event)

    def place_node(self, node: Node, event: Any) -> Node | None:
        """Put a node where it belongs: into the open collection, or as the root."""
        if not self.open:
            return node
        parent = self.open[-1]
        # Sizes are summed while the parent is open, so that a bomb stops at the alias that lights it.
        parent.size += node.size
        is_too_deep = isinstance(event, yaml.AliasEvent) and node.depth + len(self.open) > MAX_DEPTH
        if parent.size > MAX_NODES or is_too_deep:
            limit = f"aliases that write out to at most {MAX_NODES} values and {MAX_DEPTH} levels"
            self.stop(event, limit, "more", "write the values without aliases")
        if not parent.is_map:
            parent.items.append(node)
        elif parent.key is None:
            parent.key = self.key(node, event)
            parent.merges = isinstance(node, Scalar) and node.is_plain and node.text == MERGE
        else:
            add = self.merge if parent.merges else self.add_entry
            add(parent, parent.key, node)
            parent.key = None
        return None

    def key(self, node: Node, event: Any) -> tuple[str, Place]:
        """The text of a mapping key; anything but a scalar is refused."""
        if isinstance(node, Scalar):
            return node.text, self.place(event)
        self.note(event, "a name as key", "a collection", "write key: value")
        return f"\0{len(self.problems)}", self.place(event)

    def add_entry(self, parent: "_Open", key: tuple[str, Place], node: Node) -> None:
        """Add one entry; a key that was there before is a problem, not an overwrite."""
        name, place = key
        if name in parent.entries:
            first = parent.entries[name][0]
            found = f"the key {quoted(name)} again" + (f", first in line {first.line}" if first.line else "")
            self.problems.append(
                place.problem(self.where(), "every key once", found, "remove one of the two")
            )
        elif not name.startswith("\0"):
            parent.entries[name] = (place, node)

    def merge(self, parent: "_Open", key: tuple[str, Place], node: Node) -> None:
        """Take in the entries of a mapping, or of a list of them."""
        found = node.items if isinstance(node, ListNode) else (node,)
        wrong = next((each for each in found if not isinstance(each, MapNode)), None)
        if parent.merged:
            advice = f"give one a list: {MERGE}: [*a, *b]"
            expected, what = f"one {MERGE} in a mapping", f"{MERGE} again"
            self.problems.append(key[1].problem(self.where(), expected, what, advice))
        elif wrong is None:
            parent.merged += [each for each in found if isinstance(each, MapNode)]
        elif not (isinstance(wrong, Scalar) and wrong.is_broken):
            expected, advice = "a mapping, or a list of mappings, to be merged", "write an alias of a mapping"
            what = quoted(wrong.text) if isinstance(wrong, Scalar) else "a list in the list"
            self.problems.append(key[1].problem(self.where(), expected, what, advice))

    def aliased(self, event: Any) -> Node:
        """The node that an alias stands for; an unknown one is a problem and reads as nothing."""
        if event.anchor in self.anchors:
            return self.anchors[event.anchor]
        advice = f"define it before with &{quoted(event.anchor)[1:-1]}, outside of itself"
        self.note(event, "an alias of an anchor above", f"*{quoted(event.anchor)[1:-1]}", advice)
        return Scalar("", self.place(event), is_broken=True)

    def refuse_tag(self, event: Any) -> None:
        """Tags can name types of a programming language: none is needed here."""
        if event.tag is not None:
            self.note(event, "a value without a tag", f"the tag {quoted(event.tag)}", "remove the tag")

    def place(self, event: Any) -> Place:
        """The place of an event's first character."""
        if not self.has_lines:
            return Place(self.file)
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def where(self) -> Keys:
        """The path of the value that is being read."""
        steps = [opened.key and opened.key[0] if opened.is_map else len(opened.items) for opened in self.open]
        return tuple(step for step in steps if step is not None)

    def note(self, event: Any, expected: str, found: str, advice: str) -> None:
        """Keep a problem and read on."""
        self.problems.append(self.place(event).problem(self.where(), expected, found, advice))

    def stop(self, event: Any, expected: str, found: str, advice: str) -> None:
        """A problem that makes reading on pointless or dangerous."""
        self.note(event, expected, found, advice)
        raise ScenarioError(self.problems[-MAX_REPORTED_BEFORE:])


@dataclass
class _Open:
    """A collection whose end has not been reached yet."""

    event: Any
    is_map: bool
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[Place, Node]] = field(default_factory=dict)
    key: tuple[str, Place] | None = None
    merges: bool = False
    """Whether the key is that of a merge."""
    merged: list[MapNode] = field(default_factory=list)
    size: int = 0
