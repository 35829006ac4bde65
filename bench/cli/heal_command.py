"""`bench heal`: undo what a harness that is gone has left in the system."""

from __future__ import annotations

import click

from bench.cli.output import say


@click.command()
def command() -> int:
    """Undo faults that were never undone: paused processes and containers, cut networks.

    A run undoes its faults itself, and a watcher does when the run is killed; this is for when both
    were. What cannot be undone is named with the reason, hinders nothing else and ends with exit code 6;
    what a run on another machine has noted in a shared folder is left alone. Harmless where nothing is left.
    """
    from bench.core.errors import ExitCode, HealError
    from chaos.journal import heal_orphans, left_alone, leftovers

    try:
        told = heal_orphans()
    except HealError as error:
        for sentence in error.done:
            say(sentence)
        raise
    alone = left_alone()
    for sentence in (*told, *alone):
        say(sentence)
    living = [one for one in leftovers() if one.fate == "alive"]
    if living:
        say("a run with faults is under way; its faults are its own to undo")
    elif not told and not alone:
        say("nothing to heal: no fault is left from any run")
    return ExitCode.OK
