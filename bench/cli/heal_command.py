"""`bench heal`: heal what a killed harness has left in the system."""

import click

from bench.cli.output import say


@click.command()
def command() -> int:
    """Heal faults that a killed harness left behind: paused processes and containers, cut networks.

    A run heals its own faults, and a watchdog process does if the run is killed; use this if both were
    killed. A fault that cannot be healed is named with the reason, does not stop the others, and makes the
    exit code 6. Faults of a run on another machine, in a shared folder, are left alone. Does nothing if there
    are none.
    """
    from bench.core.errors import ExitCode, HealError
    from chaos.journal import heal_orphans, left_alone, leftovers

    try:
        healed = heal_orphans()
    except HealError as error:
        for sentence in error.done:
            say(sentence)
        raise
    alone = left_alone()
    for sentence in (*healed, *alone):
        say(sentence)
    living = [one for one in leftovers() if one.fate == "alive"]
    if living:
        say("a run with faults is under way; it heals its own faults")
    elif not healed and not alone:
        say("nothing to heal: no fault is left from any run")
    return ExitCode.OK
