"""What makes a variant: the words after --a, --b and --both, one `KEY=VALUE` each.

    set=KEY=VALUE              a value of the scenario, as `bench run --set`
    stack=STACK                a stack file, or a stack by its name
    settings=TARGET.KEY=VALUE  a setting of a server that we start on this machine
    program=TARGET=PATH        the server program (redis), or the folder of programs (postgres, postgres_16)
    env=NAME=VALUE             a variable, for stack files, servers of ours and the commands
    build=COMMAND              run once before the first pair; it must end with 0
    start=COMMAND              started anew before each run, and ended after it
    in=FOLDER                  where these commands run
    revision=REV               a git worktree of that revision, where these commands run
    with=BENCH                 another installation's program `bench`, which makes the runs

Commands are split as a shell splits words; no shell runs them.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.core.errors import UsageError
from bench.core.units import quoted
from bench.scenario.problems import nearest

PROGRAM_VARIABLES = {
    "redis": "HOLDFAST_REDIS_SERVER",
    "postgres": "HOLDFAST_POSTGRES_BIN",
    "postgres_16": "HOLDFAST_POSTGRES_16_BIN",
}
FORMS = {
    "set": "set=workloads.cache.lanes=20",
    "stack": "stack=stacks/staging.yaml",
    "settings": "settings=redis.io-threads=4",
    "program": "program=redis=/usr/bin/redis-server",
    "env": "env=API_POOL=20",
    "build": 'build="make release"',
    "start": 'start="./server --port 8080"',
    "in": "in=../shop",
    "revision": "revision=v1.4",
    "with": "with=old/bin/bench",
}
"""An example of each key."""


@dataclass(frozen=True)
class Variant:
    """How the runs of one side are made."""

    name: str
    """"a" or "b"."""
    overrides: tuple[str, ...] = ()
    stack: str | None = None
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """It may hold secrets."""
    build: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    folder: Path | None = None
    revision: str | None = None
    bench: Path | None = None
    shown: str = ""
    """What makes it, without the values of variables."""


def parse_variant(name: str, words: Sequence[str]) -> Variant:
    """The variant that these words describe. Raises UsageError for the first word that cannot be used."""
    overrides: list[str] = []
    settings: dict[str, dict[str, str]] = {}
    environment: dict[str, str] = {}
    single: dict[str, str] = {}
    shown: list[str] = []
    for word in words:
        key, _, value = word.partition("=")
        if key not in FORMS:
            meant = nearest(key, list(FORMS))
            advice = f"did you mean {meant}?" if meant else f"such as {FORMS['set']}"
            raise UsageError(f"--{name}: expected one of {', '.join(FORMS)}, found {quoted(word)}; {advice}")
        if not value:
            raise _other_form(name, key, word)
        if key == "set":
            overrides.append(value)
        elif key == "settings":
            target, dot, setting = value.partition("=")[0].partition(".")
            if not (target and dot and setting and "=" in value):
                raise _other_form(name, key, word)
            settings.setdefault(target, {})[setting] = value.partition("=")[2]
        elif key in ("program", "env"):
            variable, equals, text = value.partition("=")
            if not variable or not equals or (key == "program" and variable not in PROGRAM_VARIABLES):
                raise _other_form(name, key, word)
            environment[PROGRAM_VARIABLES[variable] if key == "program" else variable] = text
        elif key in single:
            raise UsageError(f"--{name}: expected {key} once, found it twice; remove one")
        else:
            single[key] = value
        shown.append(f"env={value.partition('=')[0]}" if key == "env" else word)
    return _variant(name, tuple(overrides), settings, environment, single, ", ".join(shown))


def _variant(
    name: str,
    overrides: tuple[str, ...],
    settings: Mapping[str, Mapping[str, str]],
    environment: Mapping[str, str],
    single: Mapping[str, str],
    shown: str,
) -> Variant:
    commands = {key: _command(name, key, single[key]) for key in ("build", "start") if key in single}
    folder = Path(single["in"]) if "in" in single else None
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--{name}: in={folder}: expected a folder, found none; check the path")
    if "revision" in single and not commands:
        raise UsageError(
            f"--{name}: revision={single['revision']}: expected what to build or start there, found neither; "
            "add start=COMMAND"
        )
    bench = Path(single["with"]) if "with" in single else None
    if bench is not None and not bench.is_file():
        raise UsageError(f"--{name}: with={bench}: expected the program bench, found no file; check the path")
    if bench is not None and settings:
        raise UsageError(f"--{name}: expected no settings with another bench, found some; write a stack file")
    return Variant(
        name,
        overrides,
        single.get("stack"),
        settings,
        environment,
        commands.get("build", ()),
        commands.get("start", ()),
        folder,
        single.get("revision"),
        bench,
        shown or "as it is",
    )


def _command(name: str, key: str, text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--{name}: {key}={text}: {error}; close the quotes") from None
    if not words:
        raise _other_form(name, key, f"{key}={text}")
    return words


def _other_form(name: str, key: str, word: str) -> UsageError:
    return UsageError(f"--{name}: expected a form such as {FORMS[key]}, found {quoted(word)}")
