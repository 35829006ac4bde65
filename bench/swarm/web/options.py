"""Our options of Locust's command line. Those of a run are fields of its form, too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import ScenarioError
from bench.swarm.distributed.secret import OPTION, VARIABLE, word_after
from bench.swarm.distributed.trust import LOCUSTFILES_VARIABLE, YES
from bench.swarm.web.admission import LOOPBACK
from bench.swarm.web.auth_middleware import PASSWORD_VARIABLE, USER_VARIABLE
from bench.swarm.web.form import STACKS, Choice, choices_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.swarm.users.locust_types import ArgumentParser

FIELDS = ("scenario", "rate", "duration", "lanes", "target", "stack", "seed", "quick")
"""Options that are fields of the form."""


class AnyOf(list[str]):
    """Choices for Locust's form; what else is asked for on the command line is judged by our own words."""

    def __contains__(self, item: object) -> bool:
        return True


def add_options(parser: ArgumentParser, choices: Sequence[Choice]) -> None:
    """Our options: those in the form, and those that are not."""
    labels = AnyOf(choice.label for choice in choices)
    # Nothing is run that nobody chose: where there are several, the form shows the first, and that is all.
    only = labels[0] if len(labels) == 1 else ""
    add = parser.add_argument  # what a parser itself gets is in the form, what a group gets is not
    add("--scenario", choices=labels, default=only, metavar="<name>", help="what to run")
    add("--rate", default="", metavar="<rate>", help="per second: 2000/s, or cache=2000/s, api=50/s")
    add("--duration", default="", metavar="<time>", help="of each measured phase: 30s")
    add("--lanes", default="", metavar="<n>", help="connections: 50, or cache=50, api=10")
    add(
        "--target",
        default="",
        metavar="<url>",
        help="your own: redis://127.0.0.1:6379, more after commas",
    )
    add("--stack", choices=AnyOf(STACKS), default=STACKS[0], metavar="<stack>", help="of the services")
    add("--seed", default="", metavar="<n>", help="another plan than the scenario's own")
    add("--quick", action="store_true", help="shorter phases, to see that it works")
    own = parser.add_argument_group("Holdfast")
    own.add_argument("--out", default="results", metavar="<folder>", help="for the run folders")
    own.add_argument(
        "--scenarios", default=scenario_folder(), metavar="<folder>", help="what the form offers"
    )
    own.add_argument(
        "--allow-remote",
        action="store_true",
        help=f"let other machines use the web UI, with {USER_VARIABLE} and {PASSWORD_VARIABLE}",
    )
    own.add_argument(
        OPTION,
        metavar="<file>",
        help=f"with the secret that master and workers share (else {VARIABLE}, or this user's own)",
    )
    own.add_argument(
        "--allow-locustfiles",
        action="store_true",
        default=os.environ.get(LOCUSTFILES_VARIABLE, "").lower() in YES,
        help="of a worker: run the locustfiles that the master sends",
    )
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK)


def scenario_folder() -> str:
    """Where the scenarios are looked for: here, else beside the package in a checkout."""
    beside = Path(__file__).parent.parent.parent.parent / "scenarios"
    return "scenarios" if Path("scenarios").is_dir() or not beside.is_dir() else str(beside)


def offered() -> tuple[Choice, ...]:
    """The scenarios of the folder that the command line names, and the file that --scenario names, if any.

    The form is made before Locust reads its command line, so it is looked at here.
    """
    folder = Path(word_after("--scenarios") or scenario_folder())
    file = Path(word_after("--scenario") or "")
    try:
        found = choices_in(folder) if folder.is_dir() else ()
    except ScenarioError:
        found = ()
    named = choices_in(file) if file.is_file() and file not in {choice.path for choice in found} else ()
    return (*found, *named)
