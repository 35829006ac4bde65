"""`bench doctor`: what this machine can do, and what would disturb a run on it."""

import json
import textwrap
import time
from dataclasses import asdict

import click

from bench.cli.output import say
from bench.resources.machine import Look
from bench.stack import machine
from bench.stack.machine import Finding


def faults_left() -> Finding:
    """What killed harnesses have left unhealed."""
    from chaos.journal import leftovers

    orphaned = [one for one in leftovers() if one.is_orphaned and one.entries]
    if not orphaned:
        elsewhere = sum(one.fate == "unknown" for one in leftovers())
        text = "none is left from any run"
        if elsewhere:
            text += f" of this machine; {elsewhere} noted by runs elsewhere, see `bench heal`"
        return Finding("faults", text, {"left": 0})
    what = ", ".join(entry.what for one in orphaned for entry in one.entries.values())
    return Finding(
        "faults", f"left from runs that were killed: {what}", {"left": len(orphaned)}, "bench heal"
    )


LOOK_S = 0.3
"""Thirty ticks, in which the kernel counts processor time."""


def other_work() -> Finding:
    """Who else uses the processors, and who waits for one."""
    look = Look()
    time.sleep(LOOK_S)
    found = look.end()
    advice = "what breaks a rule now may be their doing; let them finish" if found.disturbs else None
    return Finding("other work", found.sentence(), {**asdict(found)}, advice)


WIDTH = 80
NAME_WIDTH = 14
SOURCES = {
    "cores": machine.cores,
    "clock": machine.clock,
    "governor": machine.governor,
    "load": machine.load,
    "other work": other_work,
    "descriptors": machine.descriptors,
    "memory": machine.memory,
    "temporary": machine.temporary_folder,
    "kernel": machine.kernel,
    "python": machine.python,
    "compiler": machine.compiler,
    "redis server": machine.redis_server,
    "postgres 18": machine.postgres_18,
    "postgres 16": machine.postgres_16,
    "libpq": machine.postgres_client,
    "stack": machine.default_stack,
    "docker": machine.docker_engine,
    "faults": faults_left,
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def command(as_json: bool) -> None:
    """Show what this machine can do and what would disturb a run.

    The exit code is always 0: it describes and does not judge.
    """
    found = machine.findings(SOURCES)
    if as_json:
        say(json.dumps({"format": 1, "findings": [asdict(finding) for finding in found]}, indent=2))
        return
    for finding in found:
        say(table_row(finding))
    count = sum(finding.advice is not None for finding in found)
    say("")
    say("Nothing here would disturb a run." if not count else f"Advice: {count}, marked with '!' above.")


def table_row(finding: Finding) -> str:
    """The finding in lines of at most 80 columns, its advice below it."""
    rows = _wrapped(finding.text, f"{finding.name:<{NAME_WIDTH}}")
    if finding.advice:
        rows += _wrapped(finding.advice, f"{'':<{NAME_WIDTH}}! ")
    return "\n".join(rows)


def _wrapped(text: str, lead: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )
