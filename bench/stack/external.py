"""The external stack, services that someone else runs and the environment names, and further ones to
monitor.
"""

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from bench.core.errors import TargetError
from bench.registry import SERVICES, url_variables
from bench.stack.probes.connection import ProbeError, resolve
from bench.stack.probes.health import Facts, ask, ask_when_ready
from bench.stack.probes.postgres import found_postgres
from bench.stack.sentinel import NotLocated
from bench.stack.stack import Stack
from bench.stack.target import Target, TargetDescription, socket_file_of
from bench.stack.target_url import target_of

ALLOW_VARIABLE = "HOLDFAST_ALLOW_HOSTS"
DEADLINE_S = 5.0


class ExternalStack(Stack):
    """Connects to what is there; starts and stops nothing."""

    kind = "external"
    reports_events = False

    def __init__(
        self,
        needed: AbstractSet[str],
        described: Mapping[str, Target] | None = None,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        """`described`: the targets of a stack file, which may be on these hosts; else the environment's."""
        self._targets = {
            name: named_by_the_user(name) if described is None else described[name] for name in sorted(needed)
        }
        self._is_described = described is not None
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._facts: dict[str, Facts] = {}
        self._listeners: dict[str, int | None] = {}

    def start(self) -> None:
        """Check that each target may be loaded and is what it should be. Raises TargetError."""
        for name, target in self._targets.items():
            check_host(target, self._allowed_hosts)
            facts = ask_when_ready(target, self.patience, DEADLINE_S, self._ask)
            self._facts[name] = _usable(self._targets[name], facts)

    def _ask(self, target: Target, deadline_s: float) -> Facts:
        """Ask a target where it is now, once that is known to be a place where it may be."""
        if target.hosts:
            here, facts = found_postgres(target, deadline_s)
            self._targets[target.name] = here
            return facts
        try:
            here = target.located(deadline_s)
        except NotLocated as error:
            advice = "check the addresses of the Sentinels and the name of the primary"
            if target.nodes:
                advice = "check the addresses of the nodes, and whether they are in cluster mode"
            raise target.error("an answer where it is", str(error), advice, "absent") from None
        if target.sentinels is not None or target.nodes:
            check_host(here, self._allowed_hosts)
            self._targets[target.name] = here
        for node in target.cluster_view(deadline_s).nodes if target.nodes else ():
            check_host(target.at(*node.endpoint), self._allowed_hosts)
        return ask(here, deadline_s)

    def targets(self) -> dict[str, Target]:
        """The targets that the environment names."""
        return dict(self._targets)

    def describe(self) -> list[TargetDescription]:
        """Who answered at the start, for the run's record."""
        return [
            TargetDescription(
                name=name,
                kind=self._targets[name].kind,
                address=self._targets[name].address,
                server=facts.server,
                version=facts.version,
                started_by=f"not by us: {'the stack file' if self._is_described else url_variables()[name]}",
                state="up",
                tls=target.tls.trust if (target := self._targets[name]).tls else None,
                listener_pid=self._listener(target),
            )
            for name, facts in self._facts.items()
        ]

    def _listener(self, target: Target) -> int | None:
        """Asked anew only where the process has ended: it costs a connection."""
        if target.socket_file is None:
            return None
        known = self._listeners.get(target.name)
        if known is None or not Path(f"/proc/{known}").exists():
            known = self._listeners[target.name] = listener_at(target.socket_file)
        return known

    def stop(self) -> None:
        """Nothing was started."""


def listener_at(file: str) -> int | None:
    """The process that listens at a socket file, where it is one that this one can see."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(DEADLINE_S)
            connection.connect(file)
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    pid, _, _ = struct.unpack("3i", peer)
    return int(pid) or None


def url_in(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """What the environment says about where a target is; empty where it says nothing."""
    return environment.get(url_variables().get(name, ""), "").strip()


def named_by_the_user(name: str) -> Target:
    """The target that the environment names. Raises TargetError, for a missing one too."""
    variable = url_variables().get(name)
    if variable is None:
        raise TargetError(
            name,
            "the external stack",
            f"a target whose address can be given: {', '.join(sorted(url_variables()))}",
            f"'{name}'",
            "change the target in the scenario",
        )
    kind = SERVICES[name].kind
    url = url_in(name)
    if not url:
        raise TargetError(
            name,
            "the external stack",
            f"an address in {variable}",
            f"{variable} empty or not set",
            f"set {variable}={kind.example}, or use --stack embedded",
        )
    return target_of(url, name=name, source=variable, kind=kind.name)


def check_host(target: Target, allowed_hosts: AbstractSet[str] = frozenset()) -> None:
    """Load goes to this machine only, unless the user names the other host: a typing error hurts no one.
    The same holds for who says where a target is.

    allowed_hosts: those that a stack file names, in lower case.

    Raises TargetError.
    """
    places = [each for each in target.endpoints if each[0] and not socket_file_of(*each)]
    places += target.sentinels.addresses if target.sentinels else target.nodes
    for host, port in places:
        _check_host(target, host, port, allowed_hosts)


def _check_host(target: Target, host: str, port: int, allowed_hosts: AbstractSet[str]) -> None:
    allowed = {each.strip().strip("[]").lower() for each in os.environ.get(ALLOW_VARIABLE, "").split(",")}
    if host.lower() in allowed | allowed_hosts:
        return
    try:
        addresses = resolve(host, port, DEADLINE_S)
    except ProbeError as fact:
        raise target.error("a host that can be found", str(fact), "check the host in the URL") from None
    for place in addresses:
        address = place.address
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            raise target.error(
                "a host on loopback, or one that is allowed by name",
                "another machine" if address == host else f"another machine ({address})",
                f"set {ALLOW_VARIABLE}={host} if load may go there, or write the host under allow: "
                "hosts: in a stack file",
            )


def _usable(target: Target, facts: Facts) -> Facts:
    from bench.stack.probes.redis import RedisFacts

    if isinstance(facts, RedisFacts) and facts.mode in ("cluster", "sentinel") and not target.nodes:
        advice = "name a server that holds all keys itself, or write a stack file: sentinel: finds a primary"
        if facts.mode == "cluster":
            advice = f"describe it in a stack file with cluster: [{target.address}]"
        raise target.error("a standalone Redis", f"a Redis in {facts.mode} mode", advice)
    return facts


FURTHER_SERVICES_VARIABLE = "HOLDFAST_SERVICES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")


def further_services() -> list[Target]:
    """Those in HOLDFAST_SERVICES="search=elasticsearch://127.0.0.1:9200,edge=proxy://127.0.0.1:80/ping".

    Raises TargetError. They are asked for their health and get no load, so they may be anywhere.
    """
    return services_in(
        re.split(r",(?=\s*[A-Za-z0-9_.-]+=|\s*$)", os.environ.get(FURTHER_SERVICES_VARIABLE, "")),
        FURTHER_SERVICES_VARIABLE,
    )


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
        found.append(target_of(url, name=name, source=source))
    return found
