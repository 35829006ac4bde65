"""A user's locustfile brought in: its user classes chosen, and the Locust environment they run in."""

from __future__ import annotations

import logging
import re
import traceback
from typing import TYPE_CHECKING, Any

import locust
from locust.util.load_locustfile import load_locustfile

from bench.core.child_environment import NAMES_VARIABLE
from bench.core.redaction import redacted
from bench.swarm.users.exit import UsersEnvironment
from bench.swarm.users.outcomes import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUND_CHARACTERS = 300
TRACEBACK_LINES = 40
QUIET = ("locust.user.task", "locust.user.users", "locust.runners")
"""Loggers that would tell of every exception in a task: those are counted instead."""


_VARIABLE = re.compile("'[A-Z][A-Z0-9_]*'")


class Refused(Exception):  # noqa: N818 - what happened is the name
    """A locustfile, or a choice of its classes, that cannot be run. Its text is told with its place."""

    def __init__(self, key: str, expected: str, found: str, advice: str) -> None:
        self.key, self.expected, self.found, self.advice = key, expected, found, advice
        """`key`: the one of the workload that is wrong."""
        super().__init__(found)


def import_users(path: str, secrets: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The user classes of a locustfile by their names, and the names of its shapes. Raises Refused."""
    expected, advice = "a locustfile that can be imported", "correct it, or what it imports"
    try:
        classes, shapes = load_locustfile(path)
    except BaseException as error:  # noqa: BLE001 - whatever it raises, SystemExit too, is its author's to know
        found = f"{type(error).__name__}: {shown(str(error), secrets, FOUND_CHARACTERS)}"
        if isinstance(error, KeyError) and _VARIABLE.fullmatch(str(error)):
            advice = f"if it is a variable of the environment, name it in {NAMES_VARIABLE}; else {advice}"
        raise Refused(
            "locustfile", expected, found, f"{advice}\n{_own_traceback(error, path, secrets)}"
        ) from None
    if not classes:
        advice = "write a class that inherits HttpUser, FastHttpUser or User and is not abstract"
        raise Refused("locustfile", "a locustfile with a user class", "none in it", advice)
    return classes, [type(shape).__name__ for shape in shapes]


def chosen(classes: dict[str, Any], wanted: Sequence[str]) -> list[Any]:
    """The classes that are to run: those of these names, or all. Raises Refused."""
    known = ", ".join(sorted(classes))
    for name in wanted:
        if name not in classes:
            found = f"'{shown(name)}'; the locustfile has {known}"
            raise Refused("user_classes", "user classes of the locustfile", found, f"write one of {known}")
    return [classes[name] for name in wanted or sorted(classes)]


def other_hosts(classes: list[Any], host: str) -> dict[str, str]:
    """The user classes with a host of their own that is not the target's. Raises Refused.

    One host is a default, which Locust too replaces by the one that it is told. Several mean several
    servers, and requests to one of them would silently go to another.
    """
    own = {one.__name__: str(one.host) for one in classes if getattr(one, "host", None)}
    if len(set(own.values())) > 1:
        found = ", ".join(f"{name} with {shown_host(url)}" for name, url in own.items())
        advice = "choose classes of one host with user_classes, or take the hosts out of them"
        raise Refused("user_classes", "user classes of one host: the target's", found, advice)
    return {name: shown_host(url) for name, url in own.items() if url.rstrip("/") != host.rstrip("/")}


def shown_host(url: str) -> str:
    """A host for people, without a login."""
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.rpartition("@")[2]


def environment_for(
    classes: list[Any], path: str, host: str, lanes: int, secrets: Sequence[str], options: Any
) -> UsersEnvironment:
    """A local environment whose host is the target, with `events.init` fired. Raises Refused."""
    logging.basicConfig(level=logging.WARNING)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        options.host, options.num_users, options.headless = host, lanes, True
        environment = UsersEnvironment(
            user_classes=classes,
            events=locust.events,
            host=host,
            parsed_options=options,
            locustfile=path,
            catch_exceptions=True,
        )
        environment.create_local_runner()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - what user classes may be is Locust's to say
        found = shown(f"{type(error).__name__}: {error}", secrets, FOUND_CHARACTERS)
        raise Refused(
            "locustfile", "user classes that Locust can run", found, "correct the locustfile"
        ) from None
    events: Any = environment.events
    events.init.fire(environment=environment, runner=environment.runner, web_ui=None)
    return environment


def _own_traceback(error: BaseException, path: str, secrets: Sequence[str]) -> str:
    """The traceback from the locustfile on: how it came to be imported is no affair of its author."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename != path:
        place = place.tb_next
    lines = "".join(traceback.format_exception(type(error), error, place)).splitlines()
    if len(lines) > TRACEBACK_LINES:
        lines = [*lines[: TRACEBACK_LINES // 2], "  ...", *lines[-TRACEBACK_LINES // 2 :]]
    text = "\n".join(f"  {line}" for line in lines)
    return redacted(text, secrets)
