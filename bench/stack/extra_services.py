"""Services that a table of health shows besides the targets of the load, as the user names them."""

import os
import re
from collections.abc import Iterable

from bench.core.errors import TargetError
from bench.stack.target import Target

VARIABLE = "HOLDFAST_SERVICES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def further_services() -> list[Target]:
    """Those in HOLDFAST_SERVICES="search=elasticsearch://127.0.0.1:9200,edge=proxy://127.0.0.1:80/ping".

    Raises TargetError. They are asked for their health and get no load, so they may be anywhere.
    """
    return services_in(re.split(r",(?=\s*[A-Za-z0-9_.-]+=|\s*$)", os.environ.get(VARIABLE, "")), VARIABLE)


def services_in(entries: Iterable[str], source: str) -> list[Target]:
    """The targets in texts of the form NAME=URL; blank ones are passed over. Raises TargetError."""
    found: list[Target] = []
    for entry in entries:
        if not entry.strip():
            continue
        name, equals, url = entry.strip().partition("=")
        if not equals or not _NAME.fullmatch(name):
            # Not quoted: a URL without a name before it may hold a password.
            raise TargetError(
                "without a name",
                source,
                "NAME=URL, such as search=elasticsearch://127.0.0.1:9200",
                "an entry without a name of letters, digits, - _ and .",
                "write a name and = before the URL",
            )
        if any(other.name == name for other in found):
            raise TargetError(name, source, "one URL for each name", "a second one", "give it another name")
        found.append(Target.from_url(url, name=name, source=source))
    return found
