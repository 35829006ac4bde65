"""`bench init`: a stack file and a first scenario for what a user has."""

import json
import os
import textwrap
from dataclasses import replace
from pathlib import Path

import click

from bench.cli.output import NamedPath, say, say_problem
from bench.core.errors import ExitCode
from bench.init.findings import Findings

WIDTH = 80
FILE = NamedPath(exists=True, dir_okay=False, path_type=Path)
COLUMN_WIDTHS = (16, 13, 24, 21)


@click.command("init")
@click.argument("urls", nargs=-1, metavar="[URL...]")
@click.option("--compose", type=FILE, help="Read the services of this compose file.")
@click.option("--openapi", type=FILE, help="Take the API's requests from this document (JSON or YAML).")
@click.option("--name", help="Of the stack and the scenario; by default that of this directory.")
@click.option(
    "--out",
    type=NamedPath(file_okay=False, path_type=Path),
    default=Path("scenarios"),
    show_default=True,
    help="Directory of the scenario; the stack file goes into stacks/ in it.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there already.")
def command(
    urls: tuple[str, ...],
    compose: Path | None,
    openapi: Path | None,
    name: str | None,
    out: Path,
    force: bool,
) -> ExitCode:
    """Write a stack file and a first scenario for your own system.

    \b
    bench init redis://127.0.0.1:6379 http://127.0.0.1:8000
    bench init db=postgresql://app:secret@127.0.0.1/shop
    bench init --compose compose.yaml

    Without arguments it takes REDIS_URL, DATABASE_URL and API_URL, or the compose file in this directory.
    Each URL is asked whether it answers, an API for its /openapi.json and the pages in it. No password is
    written: files refer to the environment. Nothing is changed by it.
    """
    from bench.init.findings import stack_name
    from bench.init.written_files import scenario_text, stack_text

    chosen = stack_name(name or Path.cwd().name)
    scenario, stack = out / f"{chosen}.yaml", out / "stacks" / f"{chosen}.yaml"
    _expect_room((scenario, stack), force)
    findings = replace(_found(urls, compose, openapi), name=chosen)
    if not any(target.driver for target in findings.usable):
        for target in findings.targets:
            found = target.problem or f"a {target.kind} service, which no load of ours can drive"
            say_problem(f"bench: target {target.name} at {target.place}: {found}")
        for service, why in findings.left_out:
            say_problem(f"bench: {findings.source}: {service}: {why}")
        say_problem("bench: nothing that can be loaded was found, and nothing was written")
        return ExitCode.TARGET
    _write({scenario: scenario_text(findings), stack: stack_text(findings)}, out)
    say(f"Found in {findings.source}:\n\n{_table(findings)}")
    say(f"\nWrote these; every guess in them says so:\n  {stack}\n  {scenario}")
    say(_next_steps(findings, scenario, stack))
    return ExitCode.OK


def _found(urls: tuple[str, ...], compose: Path | None, openapi: Path | None) -> Findings:
    """What is named, or is found by itself. Raises UsageError where nothing is."""
    from bench.core.errors import UsageError
    from bench.init.asking import from_compose, from_urls
    from bench.init.compose_file import FILES
    from bench.init.findings import variables_in
    from bench.init.openapi import read_document
    from bench.registry import url_variables
    from bench.scenario.source import file_name, read_text

    document = read_document(read_text(openapi), file_name(openapi)) if openapi is not None else None
    is_named = bool(variables_in(os.environ))
    here = next((Path(file) for file in FILES if Path(file).is_file()), None)
    if compose is not None and urls:
        raise UsageError("init: expected URLs or --compose, found both; run it twice, with another --name")
    if compose is None and not urls and not is_named:
        compose = here
    elif compose is None and here is not None and not urls:
        say(f"{here} is here too: bench init --compose {here} --name ... reads it.")
    if compose is not None:
        return from_compose(compose, document)
    if not urls and not is_named and document is None:
        raise UsageError(
            "init: expected URLs such as redis://127.0.0.1:6379, a compose file here, or one of "
            f"{', '.join(url_variables().values())}, found none; name what runs: bench init "
            "redis://127.0.0.1:6379 http://127.0.0.1:8000"
        )
    return from_urls(urls, os.environ, document)


def _expect_room(files: tuple[Path, ...], force: bool) -> None:
    """Nothing of a user's is overwritten. Raises UsageError."""
    from bench.core.errors import UsageError

    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise UsageError(
            f"init: expected no file of that name, found {' and '.join(there)}; choose another --name or "
            "--out, or overwrite with --force"
        )


def _write(files: dict[Path, str], out: Path) -> None:
    """The files, and beside them the schemas that an editor reads, where they are not there yet."""
    from bench.core.errors import UsageError
    from bench.scenario.model import json_schema
    from bench.stack.stack_file import stack_schema

    schemas = {out / "scenario.schema.json": json_schema, out / "stack.schema.json": stack_schema}
    for path, schema in schemas.items():
        if not path.exists():
            files[path] = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"init: {path} cannot be written: {error.strerror}; choose another --out"
            ) from None


def _table(findings: Findings) -> str:
    from bench.cli.stack_command import address_table

    rows = [("name", "kind", "where", "found")]
    for target in findings.targets:
        state = "no answer" if target.problem else target.said
        rows.append((target.name, target.kind, target.place, state))
    fitted = [tuple(map(_fitted, row, COLUMN_WIDTHS)) for row in rows]
    lines = [address_table(fitted)]
    for target in findings.targets:
        if target.problem:
            again = "when it is up, bench init --force writes the files anew"
            lines.append(_comment(f"{target.name} did not answer: {target.problem}; {again}"))
        active = [operation for operation in target.operations if not operation.reason]
        if target.operations:
            others = len(target.operations) - len(active)
            more = f", {others} more as comments" if others else ""
            lines.append(
                _comment(f"{target.name}: {len(active)} request{'s' * (len(active) != 1)} to load{more}")
            )
    lines += [_comment(f"{name} is left out: {why}") for name, why in findings.left_out]
    return "\n".join(lines)


def _fitted(word: str, width: int) -> str:
    return word if len(word) <= width else word[: width - 2] + ".."


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _next_steps(findings: Findings, scenario: Path, stack: Path) -> str:
    """What to type next, and what must be done before."""
    lines = []
    hosts = [host for target in findings.usable for host in target.far_hosts]
    if hosts:
        lines.append(
            _comment(f"load goes to {', '.join(hosts)} only when {stack} allows it: write it under hosts")
        )
    for target in findings.usable:
        if target.secret and target.secret not in os.environ:
            line = f"{target.secret}=..."
            lines.append(
                _comment(
                    f"the password of {target.name} is needed: write {line} into {stack.parent / '.env'}"
                )
            )
    head = "Next:" if not lines else "Before the first run:\n" + "\n".join(lines) + "\nNext:"
    return f"{head}\n  bench run {scenario}"
