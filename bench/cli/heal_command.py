"""`bench heal`: undo what a harness that is gone has left in the system."""

from __future__ import annotations

import click

from bench.cli.output import say


@click.command()
def command() -> int:
    """Undo faults that were never undone: paused processes and containers, cut networks.

    A run undoes its faults itself, and a watcher does when the run is killed; this is for when both
    were. Harmless where nothing is left.
    """
    from bench.errors import ExitCode
    from chaos.journal import heal_orphans, leftovers

    told = heal_orphans()
    for sentence in told:
        say(sentence)
    living = [one for one in leftovers() if not one.is_orphaned]
    if living:
        say("a run with faults is under way; its faults are its own to undo")
    elif not told:
        say("nothing to heal: no fault is left from any run")
    return ExitCode.OK
