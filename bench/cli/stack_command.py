"""`bench stack up|status|down`: services that stay up between commands, and the health of all targets."""

import json
import os
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from bench.cli.output import say
from bench.core.errors import ExitCode
from bench.registry import SERVICES, STARTED, url_variables
from bench.stack.background.state import BackgroundStack
from bench.stack.probes.health import ServiceHealth
from bench.stack.target import Target

WIDTH = 80
COLUMNS = ("name", "kind", "address", "state", "uptime", "version", "latency")
NARROWEST = {"name": 10, "address": 16, "version": 7}
"""Where the table would be too wide, these columns are cut, the widest first and so far at most."""
COLOURS = {"up": "green", "degraded": "yellow", "down": "red"}
DETAILED = ("elasticsearch",)
"""Kinds whose detail says more than that they are up."""


def health_table(rows: Sequence[ServiceHealth], *, colour: bool) -> str:
    """One line per target, below it what is wrong, if anything is."""
    cells = [_cells(row) for row in rows]
    widths = _widths([COLUMNS, *cells])
    lines = [_line(COLUMNS, widths)]
    for row, words in zip(rows, cells, strict=True):
        line = _line(words, widths)
        if colour:
            begin = sum(widths[:3]) + 6
            state = click.style(words[3], fg=COLOURS[row.state])
            line = line[:begin] + state + line[begin + len(words[3]) :]
        lines.append(line)
        if len(row.address) > widths[COLUMNS.index("address")]:
            lines.append(f"    at {row.address}")
        if row.detail and (row.state != "up" or row.kind in DETAILED):
            lines += textwrap.wrap(
                row.detail,
                WIDTH,
                initial_indent="    ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
    return "\n".join(lines)


def address_table(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of words in columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(_line(row, widths) for row in rows)


def format_uptime(uptime_s: float | None) -> str:
    """One human-readable number: "42 s", "13 min", "31 h", "12 d"."""
    if uptime_s is None:
        return "unknown"
    for unit, seconds, up_to in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if uptime_s < up_to:
            return f"{int(uptime_s / seconds)} {unit}"
    return f"{int(uptime_s / 86_400)} d"


def _cells(row: ServiceHealth) -> tuple[str, ...]:
    from bench.core.units import format_duration_ns

    is_down = row.state == "down"
    return (
        row.name,
        row.kind,
        row.address,
        row.state,
        "-" if is_down else format_uptime(row.uptime_s),
        "-" if is_down else row.version or "unknown",
        "-" if is_down else format_duration_ns(row.latency_ns),
    )


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    while sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        wide = {at: widths[at] for at, name in enumerate(COLUMNS) if widths[at] > NARROWEST.get(name, WIDTH)}
        if not wide:
            break
        widths[max(wide, key=lambda at: wide[at])] -= 1
    return widths


def _line(words: Sequence[str], widths: Sequence[int]) -> str:
    fitted = [
        f"{word if len(word) <= width else word[: width - 2] + '..':<{width}}"
        for word, width in zip(words, widths, strict=True)
    ]
    return "  ".join(fitted).rstrip()


@click.group("stack")
def command() -> None:
    """Keep services running between runs; show the health of every target."""


@command.command("up")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option(
    "--stack",
    "kind",
    default="embedded",
    show_default=True,
    metavar="STACK",
    help="embedded: as processes; docker: as containers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the services as one JSON object.")
@click.option(
    "--export", "only_exports", is_flag=True, help='Print the export lines only, for eval "$(...)".'
)
def up(services: tuple[str, ...], kind: str, as_json: bool, only_exports: bool) -> None:
    """Start services (default: all) in the background; they stay up until `bench stack down`.

    \b
    bench stack up redis postgres
    bench stack up --stack docker redis
    eval "$(bench stack up --export)"

    `bench run` uses a stack that is up. Running this again prints the same lines.
    """
    from bench.core.errors import UsageError
    from bench.stack.background.daemon import background_stack, start_daemon

    if kind not in STARTED:
        raise UsageError(
            f"stack up --stack: expected {' or '.join(STARTED)}, found '{kind}'; what a stack file describes "
            f"is started by bench run --stack {kind} for its runs; bench stack status --stack {kind} looks "
            "at what of it runs already"
        )
    known = _services_of(kind)
    if unknown := sorted(set(services) - set(known)):
        raise UsageError(
            f"stack up: expected services among {', '.join(known)}, found '{unknown[0]}'; "
            "bench stack status shows other ones by NAME=URL"
        )
    background = background_stack()
    begins = background is None
    if background is None:
        background = start_daemon(kind, set(services) or set(known))
    elif background.kind != kind:
        raise UsageError(
            f"stack up: expected no stack or one of {kind}, found that one of {background.kind} is up "
            "already; end it with bench stack down"
        )
    elif missing := sorted(set(services) - {target.name for target in background.targets}):
        raise UsageError(
            f"stack up: a stack is up already, without {', '.join(missing)}; end it with bench stack down, "
            "then start all that is needed together"
        )
    exports = _exports(background)
    if as_json:
        say(json.dumps(_as_json(background, exports), indent=2))
        return
    lines = [f"export {name}={shlex.quote(url)}" for name, url in exports.items()]
    if not only_exports:
        rows = [(target.name, target.address, _what(background, target)) for target in background.targets]
        say("The stack is up." if begins else "The stack is up already.")
        say("\n" + address_table([("name", "address", "server"), *rows]) + "\n")
    say("\n".join(lines))
    if not only_exports:
        say("\nbench run uses it; bench stack status looks at it, bench stack down ends it.")


@command.command("status")
@click.argument("services", nargs=-1, metavar="[NAME=URL...]")
@click.option("--stack", "named", metavar="FILE", help="The targets of a stack file that run already.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as one JSON object.")
def status(services: tuple[str, ...], named: str | None, as_json: bool) -> ExitCode:
    """Show every target: state, uptime, version and latency; exit 4 if one is down.

    Targets are those of the stack that is up, those that REDIS_URL, DATABASE_URL, DATABASE_16_URL
    and API_URL name, those in HOLDFAST_SERVICES (NAME=URL, separated by commas), and those given.

    \b
    bench stack status search=elasticsearch://127.0.0.1:9200
    bench stack status edge=proxy://127.0.0.1:80/ping

    URLs begin with redis://, postgresql://, http://, tcp://, elasticsearch://, neo4j:// or proxy://.
    """
    from bench.stack.background.state import read_state
    from bench.stack.external import services_in
    from bench.stack.probes.health import health_of

    background = read_state()
    if named is None:
        rows = health_of(_targets(background, services))
    else:
        rows = rows_of_file(named) + health_of(services_in(services, "the command line"))
    if as_json:
        is_up = background is not None and background.is_up()
        entries = [asdict(row) for row in rows]
        say(json.dumps({"format": 1, "is_stack_up": is_up, "targets": entries}, indent=2))
    else:
        if rows:
            say(health_table(rows, colour=not os.environ.get("NO_COLOR")))
        if background is not None and not background.is_up():
            say("The process that kept the stack was killed; bench stack down clears up after it.")
        elif named is not None and not rows:
            say(f"No target of {named} runs already: bench run --stack {named} starts them for its runs.")
        elif not rows:
            say("No stack is up and no target is named: bench stack up starts one.")
    is_well = rows and all(row.state != "down" for row in rows)
    return ExitCode.OK if is_well else ExitCode.TARGET


@command.command("down")
def down() -> None:
    """Stop the stack that is up and remove its data. Does nothing if there is none."""
    from bench.stack.background.daemon import end_daemon

    match end_daemon():
        case "ended":
            say("The stack has ended.")
        case "swept":
            say("The process that kept the stack was killed and its services have ended; nothing is left.")
        case "none":
            say("No stack is up.")


def rows_of_file(named: str) -> list[ServiceHealth]:
    """The health of what a stack file describes and runs already. Raises UsageError, ScenarioError."""
    from bench.core.errors import UsageError
    from bench.stack.assembled import health_of_standing
    from bench.stack.stack_file import find_stack_file, load_stack_file

    path = find_stack_file(named)
    if path is None:
        raise UsageError(
            f"--stack: expected a stack file, found '{named}'; a stack of ours is looked at without --stack, "
            "when bench stack up has started it"
        )
    return health_of_standing(load_stack_file(path))


def _services_of(kind: str) -> list[str]:
    """What a stack of this kind can start, by the names of its targets."""
    if kind == "docker":
        return [service.name for service in SERVICES.values() if service.container is not None]
    return [service.name for service in SERVICES.values() if service.embedded is not None]


def _targets(background: BackgroundStack | None, given: tuple[str, ...]) -> list[Target]:
    """Each target once: one that the environment names is mostly that of the stack."""
    from bench.stack.external import further_services, named_by_the_user, services_in, url_in

    targets = list(background.targets) if background is not None else []
    named = [named_by_the_user(name) for name in url_variables() if url_in(name)]
    for target in [*named, *further_services(), *services_in(given, "the command line")]:
        if all((target.name, target.address) != (other.name, other.address) for other in targets):
            targets.append(target)
    return targets


def _exports(background: BackgroundStack) -> dict[str, str]:
    """Variable -> URL, for the targets that have a variable."""
    from bench.stack.target_url import url_of

    variables = url_variables()
    return {
        variables[target.name]: url_of(target) for target in background.targets if target.name in variables
    }


def _as_json(background: BackgroundStack, exports: dict[str, str]) -> dict[str, Any]:
    shown = ("name", "kind", "address", "server", "version", "log")
    services = [{key: getattr(entry, key) for key in shown} for entry in background.described]
    return {"format": 1, "keeper_pid": background.daemon.pid, "services": services, "environment": exports}


def _what(background: BackgroundStack, target: Target) -> str:
    """The server's name and version, as it said at the start."""
    entry = next((entry for entry in background.described if entry.name == target.name), None)
    return f"{(entry and entry.server) or target.kind} {(entry and entry.version) or ''}".strip()
