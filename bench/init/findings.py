"""What was found of a user's system, before it is written down; and URLs of running services, read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.core.errors import UsageError
from bench.core.units import quoted
from bench.registry import DRIVERS, SHIPPED_STACKS, url_variables
from bench.stack.target import Target, is_loopback_literal, socket_file_of
from bench.stack.target_url import target_of, url_of

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


_MARK = "holdfast0password"


def targets_of(given: Sequence[str]) -> list[Target]:
    """The targets that words of the command line name: URL or NAME=URL.

    Raises UsageError for a kind that no stack file has, TargetError for a URL that cannot be read.
    """
    targets: list[Target] = []
    for word in given:
        name, url = _split(word)
        read = target_of(_without_dialect(url), name=name or "URL", source="the command line")
        if read.kind not in MEASURABLE:
            raise UsageError(f"init: expected a URL of {', '.join(MEASURABLE)}, found one of {read.kind}")
        names = [target.name for target in targets]
        if name in names:
            raise UsageError(f"init: expected every name once, found {quoted(name)} again")
        usual = "api" if read.kind == "http" else read.kind
        targets.append(replace(read, name=name_from(name or usual, names)))
    return targets


def variables_in(environment: Mapping[str, str]) -> dict[str, str]:
    """Variable -> the URL in it, of those that name a target."""
    values = {variable: environment.get(variable, "").strip() for variable in url_variables().values()}
    return {variable: url for variable, url in values.items() if url}


def targets_in(environment: Mapping[str, str]) -> list[tuple[Target, str | None]]:
    """The targets that it names, each with the variable whose URL can be used as it stands.

    Raises TargetError for a URL that cannot be read.
    """
    names = {variable: name for name, variable in url_variables().items()}
    return [
        (
            target_of(_without_dialect(url), name=names[variable], source=variable),
            variable if _without_dialect(url) == url else None,
        )
        for variable, url in variables_in(environment).items()
    ]


def _without_dialect(url: str) -> str:
    """postgresql+asyncpg://, as SQLAlchemy has it, is the URL of a Postgres."""
    return re.sub(r"^(postgres(?:ql)?)\+\w+(?=://)", r"\1", url)


def _split(word: str) -> tuple[str, str]:
    """NAME=URL as its parts; an = inside a URL stands behind its scheme."""
    name, equals, url = word.partition("=")
    return (name.strip(), url) if equals and "://" not in name else ("", word)


def found_target(target: Target, variable: str | None = None, secret: str | None = None) -> FoundTarget:
    """The target as it is written down, without its password.

    `variable`: of the environment, which has its URL; `secret`: which has or shall have its password.
    """
    url = url_of(replace(target, password=_MARK if target.password else None))
    url = url.replace("${", "$${")
    if target.password:
        secret = variable or secret or f"{target.name.upper()}_PASSWORD"
        url = f"${{{variable}}}" if variable else url.replace(_MARK, f"${{{secret}}}")
    elif variable:
        # Braces cannot stand in a default; such a URL is left to the environment.
        url = f"${{{variable}}}" if {"{", "}"} & set(url) else f"${{{variable}:-{url}}}"
    far = [
        host
        for host, port in target.endpoints
        if host != "localhost" and not is_loopback_literal(host) and not socket_file_of(host, port)
    ]
    return FoundTarget(
        target.name,
        target.kind,
        url,
        target.address,
        pooler=target.pooler,
        far_hosts=tuple(far),
        secret=secret,
    )


def behind_guessed(targets: Sequence[FoundTarget]) -> list[FoundTarget]:
    """The same, each API with the stores that it may work with."""
    kinds = {facts.kind for facts in DRIVERS.values()} - {"http", None}
    stores = tuple(target.name for target in targets if target.kind in kinds and not target.problem)
    note = "behind is a guess: keep what it works with; that is sampled, and faults can hit it there."
    return [
        replace(target, behind=stores, notes=(*target.notes, note))
        if target.kind == "http" and stores
        else target
        for target in targets
    ]
