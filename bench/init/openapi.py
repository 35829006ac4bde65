"""OpenAPI documents, JSON or YAML: the requests that an API takes, and which of them can be sent as they are.

Of versions 2 and 3 only what both call alike is read. Whatever is not as the standard has it is passed over,
but for a document without paths.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.core.errors import ScenarioError, UsageError
from bench.core.units import quoted
from bench.init.findings import FoundOperation, name_from
from bench.scenario.source import MapNode, Node, Place, compose
from bench.scenario.templates import RESERVED
from bench.scenario.values import place_of_key, plain
from bench.stack.target import is_loopback_literal

MOST_OPERATIONS = 40
"""Of an API that has more, the others are only counted."""
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH = re.compile(r"/(?:[\x21\x22\x24-\x7a|~]|\{[\x21\x22\x24-\x7a|~]*\})*")
"""Printable, without spaces and #, and with braces only around names."""
_CHANGES = "may change data: only where that is allowed, and with the body that it takes"


@dataclass(frozen=True)
class ApiDocument:
    """What a document says of an API."""

    title: str
    server: str
    """The URL of its first server, which may be a path alone; empty where it names none."""
    operations: tuple[FoundOperation, ...]
    further: int = 0
    """Operations beyond the most that are kept."""


def read_document(text: str, file: str) -> ApiDocument:
    """Read a document. Raises ScenarioError, with the place, for what is none."""
    values, tree = _parsed(text, file)
    if not isinstance(values, dict) or not isinstance(values.get("paths"), dict):
        has_paths = isinstance(values, dict) and "paths" in values
        place = place_of_key(tree, ("paths",)) if has_paths and tree else Place(file, 1, 1)
        expected = "an OpenAPI document, with paths"
        found = "paths of another form" if has_paths else "none"
        raise ScenarioError([place.problem("paths", expected, found, "name another document")])
    # Those that can be sent first: they must not be lost among many others.
    operations = sorted(_operations(values), key=lambda operation: bool(operation.reason))
    return ApiDocument(
        _text(_within(values, "info").get("title")),
        _server(values),
        tuple(operations[:MOST_OPERATIONS]),
        max(len(operations) - MOST_OPERATIONS, 0),
    )


def _parsed(text: str, file: str) -> tuple[Any, Node | None]:
    """The values, and the tree where the text had to be read as YAML."""
    if text.lstrip()[:1] == "{":
        try:
            return json.loads(text), None
        except (ValueError, RecursionError):
            pass  # YAML may have braces too; its reader knows the places
    tree, problems = compose(text, file)
    if problems:
        raise ScenarioError(problems)
    return (plain(tree) if isinstance(tree, MapNode) else None), tree


def _operations(document: Mapping[str, Any]) -> Iterator[FoundOperation]:
    names: list[str] = []
    for path, methods in document["paths"].items():
        if not isinstance(methods, dict) or not _PATH.fullmatch(path):
            continue
        for method, operation in methods.items():
            if method.upper() not in _METHODS or not isinstance(operation, dict):
                continue
            needed = _needed(document, methods, operation)
            named = re.findall(r"\{([^{}]*)\}", path)
            needed += [(name, "path") for name in named if (name, "path") not in needed]
            word = re.sub(r"[{}]", "", path).strip("/") or "root"
            prefix = "" if method.upper() == "GET" else f"{method} "
            name = name_from(prefix + word, names, "page")
            names.append(name)
            yield FoundOperation(
                name,
                method.upper(),
                _with_names(path, needed),
                reason=_reason(document, method, operation, needed),
            )


def _reason(
    document: Mapping[str, Any], method: str, operation: Mapping[str, Any], needed: list[tuple[str, str]]
) -> str:
    """Why an operation cannot be sent as it is; empty where it can."""
    if method.upper() != "GET":
        return _CHANGES
    if needed:
        return "needs values: put each name under parameters of the workload, as {item: {from: 1, to: 100}}"
    security = operation.get("security", document.get("security"))
    if isinstance(security, list) and security and {} not in security:
        return "asks for a login: give the workload the headers that it needs"
    return ""


def _needed(
    document: Mapping[str, Any], methods: Mapping[str, Any], operation: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """(name, where) of the parameters without which it cannot be asked."""
    found: dict[tuple[str, str], bool] = {}
    for part in (methods, operation):
        listed = part.get("parameters")
        for entry in listed if isinstance(listed, list) else ():
            parameter = _resolved(document, entry)
            name, where = _text(parameter.get("name")), _text(parameter.get("in"))
            found[name, where] = parameter.get("required") is True or where == "path"
    return [parameter for parameter, is_needed in found.items() if is_needed]


def _resolved(document: Mapping[str, Any], entry: Any) -> Mapping[str, Any]:
    """A parameter, or what its reference inside the document leads to."""
    if not isinstance(entry, dict):
        return {}
    reference = entry.get("$ref")
    if not isinstance(reference, str):
        return entry
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {"name": "parameter", "in": "path"}


def _with_names(path: str, needed: list[tuple[str, str]]) -> str:
    """The path with the names of parameters as scenarios have them, and the query that it needs."""
    path = re.sub(r"\{([^{}]*)\}", lambda match: f"{{{_name(match[1])}}}", path)
    query = "&".join(f"{name}={{{_name(name)}}}" for name, where in needed if where == "query")
    return f"{path}?{query}" if query else path


def _name(text: str) -> str:
    return name_from(text, RESERVED, "parameter")


def _server(document: Mapping[str, Any]) -> str:
    """The first server of version 3, or the base path of version 2."""
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    url = _text(first.get("url")) if isinstance(first, dict) else ""
    url = url or _text(document.get("basePath"))
    return "" if "{" in url else url.rstrip("/")


def server_of(document: ApiDocument) -> str:
    """The URL of its first server, on this machine. Raises UsageError where it names none.

    Another machine may be the production system, which only the user may name.
    """
    host = re.match(r"https?://([^/:@]+|\[::1\])(:\d+)?(/|$)", document.server)
    if host is not None and (host[1] == "localhost" or is_loopback_literal(host[1].strip("[]"))):
        return document.server
    found = f"the server {quoted(document.server)}" if document.server else "no server in the document"
    raise UsageError(
        f"init: expected the URL of the API beside its document, found none, and {found}; "
        "name where it runs: bench init --openapi FILE http://127.0.0.1:8000"
    )


def base_path(server: str) -> str:
    """What stands before the paths of a document, whichever host it names."""
    try:
        return urlsplit(server).path.rstrip("/")
    except ValueError:
        return ""


def _within(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
