"""Compose files: the services that can be measured, and why the others cannot.

Only what is needed to find a service in a running project is read; whatever else stands there, and however
it is written, is passed over. A port or an image that depends on a variable has the variable's default.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.core.errors import ScenarioError
from bench.init.findings import Findings, FoundTarget, found_target, name_from
from bench.registry import KINDS, SERVICES
from bench.scenario.source import MapNode, Place, compose
from bench.scenario.values import plain
from bench.stack.target import Target

FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""Where compose itself looks, in its order."""
MOST_TARGETS = 50
_FURTHER_IMAGES = {"elasticsearch": "elasticsearch", "opensearch": "elasticsearch", "neo4j": "neo4j"}
_WEB_PORTS = frozenset((80, 3000, 4000, 5000, 9000, *range(8000, 9000)))
_SERVICE_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")
_VARIABLE = re.compile(r"\$\{\w+(?::?[-?+]([^{}]*))?\}|\$\w+")
_REQUIRED_SECRET = re.compile(r"requirepass\W+\$\{?(\w+)")
_SECRETS = {"redis": ("REDIS_PASSWORD", "VALKEY_PASSWORD"), "postgres": ("POSTGRES_PASSWORD_FILE",)}
"""Kind -> settings of its images that mean a password which the compose stack cannot find out by itself."""


@dataclass(frozen=True)
class _Service:
    """One service as far as it matters here."""

    name: str
    image: str
    is_built: bool
    ports: Mapping[int, int | None]
    """Inside the container -> on this machine, where that is fixed."""
    environment: Mapping[str, str]
    command: str
    needs: tuple[str, ...]
    containers: str
    profiles: tuple[str, ...]


def read_compose(text: str, file: str) -> Findings:
    """What a compose file has. Raises ScenarioError, with every place, for what is none."""
    tree, problems = compose(text, file)
    place, services = Place(file, 1, 1), None
    if isinstance(tree, MapNode) and "services" in tree.entries:
        place, services = tree.entries["services"]
    if not isinstance(services, MapNode):
        found = "none" if services is None else "something else"
        expected, advice = "services, each with key: value lines", "name another compose file"
        raise ScenarioError([*problems, place.problem("services", expected, found, advice)])
    for name, (at, node) in services.entries.items():
        if not isinstance(node, MapNode):
            expected, advice = "key: value lines", "correct the service"
            problems.append(at.problem(("services", name), expected, "something else", advice))
    if problems:
        raise ScenarioError(problems)
    read = [_service(name, plain(node, is_text=True)) for name, (_, node) in services.entries.items()]
    return _findings(read, file)


def _findings(services: Sequence[_Service], file: str) -> Findings:
    targets: dict[str, FoundTarget] = {}
    left_out: list[tuple[str, str]] = []
    for service in services:
        found = _target(service, [target.name for target in targets.values()])
        if isinstance(found, str):
            left_out.append((service.name, found))
        elif len(targets) == MOST_TARGETS:
            left_out.append((service.name, f"a stack file has at most {MOST_TARGETS} targets"))
        else:
            targets[service.name] = found
    needs = {service.name: service.needs for service in services}
    behind: dict[str, list[str]] = {}
    for name in targets:
        # What would close a circle is passed over: nothing can need itself.
        needed = _targets_needed(name, needs, targets)
        behind[name] = [other for other in needed if name not in {other, *_reached(other, behind)}]
    complete = (
        replace(target, behind=tuple(targets[other].name for other in behind[name]))
        for name, target in targets.items()
    )
    return Findings("", file, tuple(complete), tuple(left_out))


def _reached(start: str, edges: Mapping[str, Sequence[str]], stops: Collection[str] = ()) -> list[str]:
    """What can be reached, in order; not beyond one of `stops`."""
    seen: dict[str, None] = {}
    waiting = list(edges.get(start, ()))
    while waiting:
        name = waiting.pop(0)
        if name not in seen:
            seen[name] = None
            waiting += () if name in stops else edges.get(name, ())
    return list(seen)


def _targets_needed(name: str, needs: Mapping[str, Sequence[str]], targets: Collection[str]) -> list[str]:
    """The targets that a service needs, also through services that are none."""
    return [other for other in _reached(name, needs, targets) if other in targets]


def _target(service: _Service, taken: Sequence[str]) -> FoundTarget | str:
    """The target that a service is, or why it is none."""
    word = service.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    known = next((spec for spec in SERVICES.values() if word in spec.known_images), None)
    kind = known.kind.name if known else _FURTHER_IMAGES.get(word, "http")
    is_guess = known is None and word not in _FURTHER_IMAGES
    usual = known.port if known else next(iter(KINDS[kind].schemes.values())).port or 80
    if not _SERVICE_NAME.fullmatch(service.name):
        return "its name is none that compose takes"
    if service.containers not in ("", "1"):
        port = next(iter(service.ports), 8000 if is_guess else usual)
        written = port if kind == "http" or port != usual else None
        place = FoundTarget(name_from(service.name, taken), kind, service=service.name, port=written)
        note = "It has several containers: health, resources and faults see each; it gets no load itself."
        return replace(place, said=f"{service.containers} containers", notes=(note,), is_scaled=True)
    if not service.ports:
        advice = f'to measure it write under it ports: ["127.0.0.1:{usual}:{usual}"]'
        return "it publishes no port" if is_guess else f"{kind}, but its port is not published; {advice}"
    web = [port for port in service.ports if port in _WEB_PORTS]
    if is_guess and not web and not service.is_built:
        return f"nothing that can be measured is known by the image {service.image or 'that it has'}"
    port = usual if usual in service.ports and not is_guess else (web or list(service.ports))[0]
    name = name_from(service.name, taken)
    notes = [f"It runs only with the profile {' or '.join(service.profiles)}."] if service.profiles else []
    if is_guess:
        notes.append(f"That it speaks HTTP is a guess: it publishes port {port}.")
    said = f"port {port}" if is_guess else f"image {service.image}"
    if kind in _SECRETS and (secret := _secret(service, kind, name)):
        if (outer := service.ports[port]) is None:
            return f"{kind} with a password, which needs a URL: publish its port as 127.0.0.1:{port}:{port}"
        environment = service.environment
        user = environment.get("POSTGRES_USER") or "postgres" if kind == "postgres" else None
        database = environment.get("POSTGRES_DB") or user or ""
        target = Target(name, kind, "127.0.0.1", outer, user, "password", database=database)
        return replace(found_target(target, secret=secret), said=said, notes=tuple(notes))
    written = port if kind == "http" or port != usual else None
    place = FoundTarget(name, kind, service=service.name, port=written, published=service.ports[port])
    return replace(place, said=said, notes=tuple(notes))


def _secret(service: _Service, kind: str, name: str) -> str | None:
    """The environment variable for a password that only the user knows."""
    if kind == "redis" and "requirepass" in service.command:
        named = _REQUIRED_SECRET.search(service.command)
        return named[1] if named else f"{name.upper()}_PASSWORD"
    return f"{name.upper()}_PASSWORD" if set(_SECRETS[kind]) & service.environment.keys() else None


def _service(name: str, values: Any) -> _Service:
    """A service from the values that the file has for it, all of them text."""
    entries = _merged(values)
    environment = _pairs(entries.get("environment"))
    needs = entries.get("depends_on")
    hosts = [word for text in environment.values() for word in re.findall(r"(?://|@)([\w.-]+)", text)]
    scaled = _merged(entries.get("deploy")).get("replicas") or entries.get("scale")
    command = entries.get("command")
    return _Service(
        name,
        _resolved(entries.get("image")),
        "build" in entries,
        dict(_ports(entries.get("ports"))),
        {key: _resolved(text) for key, text in environment.items()},
        " ".join(filter(_is_text, command)) if isinstance(command, list) else _text(command),
        (*filter(_is_text, needs if isinstance(needs, list) else _merged(needs)), *hosts),
        _resolved(scaled),
        tuple(filter(_is_text, _listed(entries.get("profiles")))),
    )


def _ports(listed: Any) -> Iterator[tuple[int, int | None]]:
    """(inside, on this machine) of what is published over TCP; the first of a range."""
    for entry in _listed(listed):
        if isinstance(entry, dict):
            keys = ("target", "published", "protocol")
            inner, outer, protocol = (_resolved(entry.get(key)) for key in keys)
        else:
            text, _, protocol = _resolved(entry).partition("/")
            before, _, inner = text.rpartition(":")
            outer = before.rpartition(":")[2]
        inside, here = (_port(text.partition("-")[0]) for text in (inner, outer))
        if inside is not None and protocol in ("", "tcp"):
            yield inside, here


def _port(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    return int(text) if is_number and 0 < int(text) < 65536 else None


def _merged(values: Any) -> Mapping[str, Any]:
    """A mapping with what it takes over by `<<`; anything else has no entries."""
    if not isinstance(values, dict):
        return {}
    entries = dict(values)
    for base in reversed(_listed(entries.pop("<<", []))):
        entries = {**_merged(base), **entries}
    return entries


def _pairs(values: Any) -> dict[str, str]:
    """NAME: VALUE lines, or a list of NAME=VALUE."""
    if isinstance(values, list):
        return {key: text for key, _, text in (_text(entry).partition("=") for entry in values)}
    return {key: _text(text) for key, text in _merged(values).items()}


def _resolved(value: Any) -> str:
    """A text with the defaults of its variables."""
    return _VARIABLE.sub(lambda match: match[1] or "", _text(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
