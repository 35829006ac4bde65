"""What the servers of a target say of themselves, and what its Sentinels or the nodes of its
cluster say of them, on the run's clock."""

from __future__ import annotations

import contextlib
import socket
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.registry import PRIMARY, REPLICA, STANDBY
from bench.stack.cluster import FAILED, SUSPECTED, ClusterLocator
from bench.stack.postgres_servers import NoAnswer, ServerConnection
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.sentinel import NotLocated
from bench.stack.target import address_of
from chaos.detectors.detection import CLUSTER_BUS, SENTINEL_EVENT, Observation
from chaos.detectors.polling import Detector, PollingDetector

if TYPE_CHECKING:
    from bench.stack.sentinel import Endpoint
    from bench.stack.target import Target

EVERY_NS = 10_000_000
DEADLINE_S = 1.0
ROLE_WORDS = {"master": PRIMARY, "slave": REPLICA}
"""The answer to ROLE, in our words."""


@dataclass(frozen=True)
class RoleChange:
    """From when on a server says that it has a role; ns on CLOCK_MONOTONIC."""

    process: str
    role: str | None
    """None: it does not answer."""
    at_ns: int
    timeline: int | None = None
    """Of a Postgres that says it is the primary."""


class RoleWatch(PollingDetector):
    """Asks one server what it is, every 10 ms on one connection."""

    detector = "role"

    def __init__(self, server: Target) -> None:
        super().__init__(f"role-{server.name}", EVERY_NS)
        self.changes: list[RoleChange] = []
        self._server = server

    def look(self) -> None:
        """Ask once, and note a change. The stamp is when the answer was there."""
        role, timeline = self._ask()
        before = self.changes[-1] if self.changes else None
        if before is None or (role, timeline) != (before.role, before.timeline):
            self.changes.append(RoleChange(self._server.name, role, monotonic_ns(), timeline))

    def stop(self) -> None:
        """Ask no more."""
        super().stop()
        self._hang_up()

    @abstractmethod
    def _ask(self) -> tuple[str | None, int | None]:
        """Its role, None where it does not answer; and its timeline, where it has one."""

    @abstractmethod
    def _hang_up(self) -> None:
        """Close the connection. Idempotent."""


class RedisRoleWatch(RoleWatch):
    """By ROLE."""

    _client: RespClient | None = None

    def _ask(self) -> tuple[str | None, int | None]:
        try:
            if self._client is None:
                self._client = RespClient.logged_in(self._server, DEADLINE_S)
            self._client.renew(DEADLINE_S)
            answer = self._client.ask_list("ROLE")
        except (ProbeError, ErrorReply):
            self._hang_up()
            return None, None
        return ROLE_WORDS.get(str(answer[0])) if answer else None, None

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


class PostgresRoleWatch(RoleWatch):
    """By pg_is_in_recovery() and, of a primary, its timeline."""

    _session: ServerConnection | None = None

    def _ask(self) -> tuple[str | None, int | None]:
        try:
            if self._session is None:
                self._session = ServerConnection(self._server, DEADLINE_S)
            state = self._session.state(DEADLINE_S)
        except NoAnswer:
            self._hang_up()
            return None, None
        return PRIMARY if state.is_primary else STANDBY, state.timeline

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def role_watch(server: Target) -> RoleWatch:
    """The one for a server's kind."""
    return PostgresRoleWatch(server) if server.kind == "postgres" else RedisRoleWatch(server)


AGAIN_S = 0.1
WAIT_S = 0.1
LARGEST_BYTES = 65_536
ALARMS = ("+sdown", "+odown")
CALM = ("-sdown", "-odown", "+switch-master")


class SentinelEvents(Detector):
    """What one Sentinel publishes about a target, as it arrives."""

    detector = SENTINEL_EVENT

    def __init__(self, number: int, address: Endpoint, target: Target) -> None:
        super().__init__(f"sentinel-{number}")
        assert target.sentinels is not None
        self._number, self._address = number, address
        self._target, self._who = target.name, target.sentinels

    def _watch(self) -> None:
        while not self._end.is_set():
            with contextlib.suppress(OSError):  # it may be the one that was killed
                self._follow()
            self._end.wait(AGAIN_S)

    def _follow(self) -> None:
        """Subscribe and note what comes, until the connection ends. Raises OSError."""
        import hiredis

        who = self._who
        with socket.create_connection(self._address, DEADLINE_S) as connection:
            connection.settimeout(WAIT_S)
            words: list[tuple[str, ...]] = [("PSUBSCRIBE", "*")]
            if who.password:
                words.insert(0, ("AUTH", *([who.username] if who.username else []), who.password))
            connection.sendall(b"".join(hiredis.pack_command(one) for one in words))  # type: ignore[arg-type]  # its stub allows one word only
            reader = hiredis.Reader()
            while not self._end.is_set():
                try:
                    data = connection.recv(LARGEST_BYTES)
                except TimeoutError:
                    continue
                if not data:
                    return
                at_ns = monotonic_ns()
                reader.feed(data)
                try:
                    while (message := reader.gets()) is not False:
                        self._note(message, at_ns)
                except hiredis.ProtocolError as error:
                    raise ConnectionError(str(error)) from None

    def _note(self, message: object, at_ns: int) -> None:
        match message:
            case [b"pmessage", _, bytes(channel), bytes(payload)]:
                event, about = channel.decode(errors="replace"), payload.decode(errors="replace")
                if event in (*ALARMS, *CALM) and names(about, self._who.primary):
                    detail = f"Sentinel {self._number}: {event} {about.partition(' @ ')[0]}"
                    seen = Observation(self.detector, self._target, at_ns, event in ALARMS, detail)
                    self.observations.append(seen)


def names(about: str, primary: str) -> bool:
    """Whether an event is about the servers of a primary: itself, or what follows or watches it.

    "master NAME ip port", "slave NAME ip port @ PRIMARY ip port", and of +switch-master "PRIMARY ip ...".
    """
    head, _, followed = about.partition(" @ ")
    return primary in (followed.split()[:1] or head.split()[:2])


BUS_EVERY_NS = 25_000_000


class ClusterBus(PollingDetector):
    """What one node of a Redis Cluster takes the others for, asked every 25 ms: fail? is its own suspicion,
    fail what most primaries have agreed on.
    """

    detector = CLUSTER_BUS

    def __init__(self, server: Target, target: str) -> None:
        super().__init__(f"{CLUSTER_BUS}-{server.name}", BUS_EVERY_NS)
        self._server, self._target = server, target
        self._locator = ClusterLocator([(server.host, server.port)], server.username, server.password)
        self._seen: dict[str, tuple[str, bool]] = {}
        """Name of a node -> what was wrong with it when asked last, and whether it served slots."""

    def look(self) -> None:
        """Ask once, and note what changed. The stamp is when the answer was there."""
        try:
            view = self._locator.view(DEADLINE_S)
        except NotLocated:  # it may be the one that was killed
            return
        at_ns = monotonic_ns()
        for node in view.nodes:
            flag = next((flag for flag in (FAILED, SUSPECTED) if flag in node.flags), "")
            before, served = self._seen.get(node.name, ("", node.serves))
            self._seen[node.name] = flag, node.serves
            place = address_of(*node.endpoint)
            if flag != before:
                self._note(at_ns, f"{place} {flag or 'is well again'}", is_down=bool(flag))
            if node.serves and not served:
                self._note(at_ns, f"{place} serves slots", is_down=False)

    def _note(self, at_ns: int, what: str, *, is_down: bool) -> None:
        detail = f"{self._server.name}: {what}"
        self.observations.append(Observation(self.detector, self._target, at_ns, is_down, detail))

    def stop(self) -> None:
        """Ask no more."""
        super().stop()
        self._locator.close()
