"""What was found of a user's system, before it is written down."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.registry import DRIVERS, SHIPPED_STACKS

MEASURABLE = ("redis", "postgres", "http", "tcp", "elasticsearch", "neo4j")
"""Kinds of the targets that a stack file may have."""
LONGEST_NAME = 40


@dataclass(frozen=True)
class FoundOperation:
    """One request that an API takes."""

    name: str
    method: str
    path: str
    status: int | None = None
    """What it answers with, where that is not 2xx or 3xx."""
    guess: str = ""
    """Why it is part of it all the same, where that is a guess."""
    reason: str = ""
    """Why it is no part of the first load: it is then written as a comment."""


@dataclass(frozen=True)
class FoundTarget:
    """One service of the system."""

    name: str
    kind: str
    url: str | None = None
    """As it is written into the file: a password in it is a reference to the environment."""
    address: str = ""
    """Where the URL leads to."""
    service: str | None = None
    """Of the compose project, where there is no URL."""
    port: int | None = None
    """Inside its container, where it is not the usual one of its kind."""
    published: int | None = None
    """The port of this machine that leads to it, where it is fixed."""
    behind: tuple[str, ...] = ()
    pooler: str = "none"
    far_hosts: tuple[str, ...] = ()
    """Those that are not this machine."""
    secret: str | None = None
    """The environment variable that its password comes from."""
    said: str = ""
    """What it is in its own words, or why it is taken for what it is."""
    problem: str = ""
    """Why it cannot be used now: it is then written as a comment."""
    notes: tuple[str, ...] = ()
    """What a reader should know of the guesses, one sentence each."""
    operations: tuple[FoundOperation, ...] = ()
    is_scaled: bool = False
    """A service of several containers, which no load can be put on."""

    @property
    def place(self) -> str:
        """Where it is, for a table."""
        if self.service is not None:
            return f"service {self.service}" + (f", port {self.port}" if self.port else "")
        return self.address

    @property
    def driver(self) -> str | None:
        """What drives it in a first scenario."""
        if self.is_scaled:
            return None
        return next((name for name, facts in DRIVERS.items() if facts.kind == self.kind), None)


@dataclass(frozen=True)
class Findings:
    """A system as far as it is known."""

    name: str
    source: str
    """What was read, for the head of the files."""
    targets: tuple[FoundTarget, ...]
    left_out: tuple[tuple[str, str], ...] = field(default=())
    """What else was there, and why it cannot be measured."""

    @property
    def usable(self) -> tuple[FoundTarget, ...]:
        """Those that a run can use."""
        return tuple(target for target in self.targets if not target.problem)


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def name_from(text: str, taken: Iterable[str] = (), otherwise: str = "system") -> str:
    """A name as scenarios have them, not among `taken`."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:LONGEST_NAME].strip("_")
    if not plain or not plain[0].isalpha():
        plain = f"{otherwise}_{plain}".strip("_")[:LONGEST_NAME]
    others, name, number = set(taken), plain, 2
    while name in others:
        name, number = f"{plain}_{number}", number + 1
    return name


def stack_name(text: str) -> str:
    """The name of a stack file: none of those that need no file."""
    return name_from(text, SHIPPED_STACKS, "my")
