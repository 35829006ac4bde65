"""What a locustfile wants to know from the command line, given by the scenario instead."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from locust.argument_parser import get_empty_argument_parser, get_parser, setup_parser_arguments

from bench.swarm.users.load import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
