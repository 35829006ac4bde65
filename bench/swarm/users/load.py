"""A locustfile as Locust would load it: its user classes, the arguments that the scenario gives it, its
environment, and the exit code that it asks for.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gevent
import locust
from locust import User, log
from locust.argument_parser import get_empty_argument_parser, get_parser, setup_parser_arguments
from locust.env import Environment
from locust.exception import StopTest
from locust.util.load_locustfile import load_locustfile

from bench.core.child_process import NAMES_VARIABLE
from bench.core.sanitize import redacted
from bench.swarm.users.request_recorder import shown

LOCUST_FAILED = 2
"""What Locust ends with when an exception left a listener."""


class UsersEnvironment(Environment):
    """Remembers who set the exit code, so that a run which it fails can say by what."""

    exit_set_by = ""

    @property
    def process_exit_code(self) -> int | None:
        """What Locust would end with; None leaves it to Locust."""
        return self.__dict__.get("_exit_code")

    @process_exit_code.setter
    def process_exit_code(self, code: int | None) -> None:
        self.__dict__["_exit_code"] = code
        if code is not None:
            frame = sys._getframe(1)
            place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
            self.exit_set_by = f"{frame.f_code.co_name} ({place})"


def quit_as_locust(environment: UsersEnvironment, patience_s: float) -> tuple[int, str]:
    """Fire the last events; the exit code that the locustfile asks for, and by what (0 for none)."""
    events: Any = environment.events
    left = ""
    with gevent.Timeout(patience_s, False):
        try:
            events.quitting.fire(environment=environment, reverse=True)
        except SystemExit as ended:
            environment.process_exit_code = (
                ended.code if isinstance(ended.code, int) else int(bool(ended.code))
            )
            environment.exit_set_by = "sys.exit in a listener of events.quitting"
        except StopTest:
            pass  # there is none to stop any more
    code = environment.process_exit_code
    if code is None and log.unhandled_greenlet_exception:
        code, left = LOCUST_FAILED, "an exception that left a listener or a greenlet of its own"
    with gevent.Timeout(patience_s, False):
        events.quit.fire(exit_code=code or 0)
    try:
        return int(code or 0), left or environment.exit_set_by
    except (TypeError, ValueError):
        return 1, environment.exit_set_by


FOUND_CHARACTERS = 300
TRACEBACK_LINES = 40
QUIET = ("locust.user.task", "locust.user.users", "locust.runners")
"""Loggers that would report every exception in a task: those are counted instead."""


_VARIABLE = re.compile("'[A-Z][A-Z0-9_]*'")


class Refused(Exception):  # noqa: N818 - what happened is the name
    """A locustfile, or a choice of its classes, that cannot be run. Its text is reported with its place."""

    def __init__(self, key: str, expected: str, found: str, advice: str) -> None:
        self.key, self.expected, self.found, self.advice = key, expected, found, advice
        """`key`: the one of the workload that is wrong."""
        super().__init__(found)


def import_users(path: str, secrets: Sequence[str]) -> tuple[dict[str, type[User]], list[str]]:
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


def chosen(classes: Mapping[str, type[User]], wanted: Sequence[str]) -> list[type[User]]:
    """The classes that are to run: those of these names, or all. Raises Refused."""
    known = ", ".join(sorted(classes))
    for name in wanted:
        if name not in classes:
            found = f"'{shown(name)}'; the locustfile has {known}"
            raise Refused("user_classes", "user classes of the locustfile", found, f"write one of {known}")
    return [classes[name] for name in wanted or sorted(classes)]


def other_hosts(classes: list[Any], host: str) -> dict[str, str]:
    """The user classes with a host of their own that is not the target's. Raises Refused.

    One host is a default, which Locust too replaces by the one that it is given. Several mean several
    servers, and requests to one of them would silently go to another.
    """
    own = {one.__name__: str(one.host) for one in classes if getattr(one, "host", None)}
    if len(set(own.values())) > 1:
        found = ", ".join(f"{name} with {shown_host(url)}" for name, url in own.items())
        advice = "choose classes of one host with user_classes, or take the hosts out of them"
        raise Refused("user_classes", "user classes of one host: the target's", found, advice)
    return {name: shown_host(url) for name, url in own.items() if url.rstrip("/") != host.rstrip("/")}


def shown_host(url: str) -> str:
    """A host as it is shown, without a login."""
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


KEY = "arguments"
HONOURED = ("tags", "exclude_tags")
"""Options of Locust itself that decide what users do; all others the scenario decides."""


def parsed_options(given: Mapping[str, str | Sequence[str]]) -> Any:
    """Locust's options with the values that the scenario gives. Raises Refused, which names the argument."""
    parser: Any = get_parser(default_config_files=[])
    plain: Any = get_empty_argument_parser(default_config_files=[])
    add_own: Any = setup_parser_arguments
    add_own(plain)
    ours = {action.dest for action in plain._actions}
    known = {action.dest: action for action in parser._actions if action.option_strings}
    words: list[str] = []
    for name, value in given.items():
        action = known.get(name.lstrip("-").replace("-", "_"))
        listed = ", ".join(dest for dest in known if dest not in ours) or "none"
        if action is None:
            expected = f"an argument of the locustfile ({listed}), tags or exclude_tags"
            raise Refused(KEY, expected, name, "correct the name, or remove it")
        if action.dest in ours and action.dest not in HONOURED:
            advice = "remove it, and write lanes, phases and rules"
            raise Refused(KEY, "arguments of the locustfile: all else is the scenario's to say", name, advice)
        words += _words(action, name, value)
    _refuse_missing(known, given)

    def refuse(message: str) -> None:
        # argparse repeats the value, which may be a secret: the name alone says enough.
        wrong = message.partition(":")[0] if message.startswith("argument ") else "an argument"
        raise Refused(KEY, "values that the locustfile takes", f"another one for the {wrong}", "correct it")

    parser.error = refuse
    return parser.parse_args(words)


def _words(action: Any, name: str, value: str | Sequence[str]) -> list[str]:
    """An argument as it would stand on a command line."""
    option = max(action.option_strings, key=len)
    if action.nargs != 0:
        values = [value] if isinstance(value, str) else list(value)
        # Joined, so that a value may begin with a hyphen.
        return [f"{option}={values[0]}"] if len(values) == 1 else [option, *values]
    if value not in ("true", "false"):
        raise Refused(KEY, f"true or false for {name}, which takes no value", "another value", "write true")
    return [option] if value == "true" else []


def _refuse_missing(known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    names = {name.lstrip("-").replace("-", "_") for name in given}
    missing = [
        action
        for dest, action in known.items()
        if action.required
        and dest not in names
        and not os.environ.get(getattr(action, "env_var", None) or "")
    ]
    if missing:
        options = ", ".join(max(action.option_strings, key=len) for action in missing)
        example = ", ".join(f"{action.dest}: ..." for action in missing)
        found = f"none for {options}, which the locustfile requires"
        advice = f"write arguments: {{{example}}} in the workload"
        raise Refused(KEY, "a value for every argument that the locustfile requires", found, advice)
