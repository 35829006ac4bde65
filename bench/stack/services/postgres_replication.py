"""A Postgres of several servers: a primary, and standbys that follow it by streaming replication.

Nobody watches over them: who is to be the primary is said from outside (`follow`, and pg_promote). A server
that is to follow another than before starts as a fresh copy of it, whatever it had itself: what it alone had
acknowledged is lost, as it is wherever a failed primary is built anew.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.postgres_servers import NoAnswer, ServerConnection
from bench.stack.services.base import GivenUp, StackService
from bench.stack.services.files import DATA
from bench.stack.services.servers import USER, ManagedPostgres
from bench.stack.supervisor.supervised import ServiceCommand, StackEvent
from bench.stack.target import SESSION_ATTRIBUTE, Target, TargetDescription

MEMBER_SETTINGS = {
    "wal_level": "replica",
    "hot_standby": "on",
    "wal_log_hints": "on",
    "wal_keep_size": "512MB",
    "wal_retrieve_retry_interval": "100ms",
}
"""No slots: what a standby that is down keeps from being removed would fill the disk. A standby that has lost
its primary looks for it again soon."""
ASYNCHRONOUS = "off"
STREAMING_S = 30.0
ANSWER_S = 5.0
POLL_S = 0.02
START = """
bin=$1 data=$2 upstream=$3; shift 3
if [ -f "$upstream" ] && [ "$(cat "$upstream")" != "$(cat "$data/followed" 2>/dev/null)" ]; then
    rm -rf "$data"/* "$data"/.[!.]*
    "$bin/pg_basebackup" -D "$data" -R -X stream -c fast -N -d "$(cat "$upstream")" || exit
    cp "$upstream" "$data/followed" || exit
fi
exec "$@"
"""
"""Run in place of the server, which takes its place. The folder itself stays: a server that starts in it
removes the shared memory of a killed one, which it knows by the folder's inode."""


class ManagedPostgresMember(ManagedPostgres):
    """One server of several: the first primary, or a standby of the one that it is started behind."""

    ready_means = "a Postgres that lets us in and answers SELECT, as a primary or a standby"

    def __init__(
        self,
        log_dir: Path,
        settings: Mapping[str, str] | None,
        name: str,
        behind: Sequence[str],
        *,
        password: str,
        synchronous: str,
    ) -> None:
        super().__init__(log_dir, settings, name, behind)
        self._shared_password = password
        self.synchronous = synchronous
        """What a commit waits for at a standby: off, on, remote_write or remote_apply."""
        self._upstream: Path | None = None
        self._followed = 0

    def follow(self, primary: Target) -> None:
        """Be a standby of this one from the next start on."""
        assert self._upstream is not None
        self._followed += 1
        text = self._conninfo(primary)
        # Written at once or not at all: it may be read at this moment.
        written = self._upstream.with_suffix(".new")
        written.write_text(text, encoding="utf-8")
        written.chmod(0o644)
        written.rename(self._upstream)

    def turn_to(self, primary: Target) -> None:
        """Follow this one from now on, running as a standby. Raises NoAnswer."""
        assert self.target is not None
        with ServerConnection(self.target, ANSWER_S) as session:
            quoted = self._conninfo(primary).replace("'", "''")
            session.rows(f"ALTER SYSTEM SET primary_conninfo = '{quoted}'".encode(), ANSWER_S)
            session.rows(b"SELECT pg_reload_conf()", ANSWER_S)

    def is_standby(self) -> bool:
        """Whether it starts, or has started, as one: the server removes the sign where it is promoted."""
        return self._data is not None and (self._data.path / DATA / "standby.signal").exists()

    def _conninfo(self, primary: Target) -> str:
        assert self._upstream is not None
        from psycopg.conninfo import make_conninfo

        return make_conninfo(
            host=primary.host,
            port=primary.port,
            user=USER,
            passfile=str(self._upstream.with_name("passfile")),
            sslmode="disable",
            gssencmode="disable",
            application_name=self.name,
            # Makes each order another one: a server that is to follow the one that it followed before it
            # was the primary itself is copied anew.
            fallback_application_name=f"order-{self._followed}",
        )

    def _target_on(self, port: int) -> Target:
        return replace(super()._target_on(port), password=self._shared_password)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        alone = super()._service_command(target, directory, log)
        self._upstream = directory / "upstream"
        self._keep_password(directory / "passfile")
        if self._needed:
            self.follow(self._needed[0])
        program_folder = str(Path(alone.command[0]).parent)
        start = ("/bin/sh", "-c", START, "start", program_folder, str(directory / DATA), str(self._upstream))
        set_up = () if self._needed else alone.set_up
        return replace(alone, command=(*start, *alone.command), set_up=set_up)

    def _keep_password(self, file: Path) -> None:
        """Where only the server can read it: what it connects with stands in its configuration."""
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(f"*:*:*:*:{self._shared_password}\n")
        if self._account is not None:
            os.chown(file, self._account.user_id, self._account.group_id)

    @cached_property
    def _password(self) -> str:
        return self._shared_password

    def _settings(self) -> dict[str, str]:
        commit = {} if self.synchronous == ASYNCHRONOUS else {"synchronous_commit": self.synchronous}
        return {**super()._settings(), **MEMBER_SETTINGS, **commit, **self._asked}


class ManagedPostgres16Member(ManagedPostgresMember):
    """The same of PostgreSQL 16."""

    service = "postgres_16"


class PostgresGroup(StackService):
    """What clients know by one name and several hosts: no process."""

    def __init__(self, name: str, members: Sequence[ManagedPostgresMember]) -> None:
        self.name = name
        self.behind = tuple(member.name for member in members)
        self.target: Target | None = None
        self._members = members

    def start(self, others: Mapping[str, Target], given_up: threading.Event) -> None:
        """Return when every standby follows, and commits wait for one if they are to. Raises TargetError."""
        servers = [others[name] for name in self.behind]
        until, primary, *standbys = time.monotonic() + STREAMING_S, *servers
        try:
            with ServerConnection(primary, ANSWER_S) as session:
                while missing := {each.name for each in standbys} - followers_of(session):
                    if given_up.is_set():
                        raise GivenUp
                    if time.monotonic() > until:
                        raise TargetError(
                            self.name,
                            primary.address,
                            "standbys that follow their primary",
                            f"{', '.join(sorted(missing))}, which does not after {STREAMING_S:g} s",
                            "read its log in the folder of the run",
                        )
                    time.sleep(POLL_S)
                wait_for_standbys(session, self._members)
        except NoAnswer as error:
            advice = "read its log in the folder of the run"
            raise primary.error("a primary that answers", str(error), advice) from None
        self.target = replace(
            primary,
            name=self.name,
            hosts=tuple((each.host, each.port) for each in servers),
            options=((SESSION_ATTRIBUTE, "read-write"),),
        )

    def describe(self) -> TargetDescription | None:
        """The group as a target; its members have their own descriptions. None before the start."""
        if self.target is None:
            return None
        described = [one for member in self._members if (one := member.describe()) is not None]
        standbys = len(self._members) - 1
        kept = self._members[0].synchronous
        how = "asynchronous" if kept == ASYNCHRONOUS else f"synchronous_commit = {kept}"
        return TargetDescription(
            name=self.name,
            kind=self.target.kind,
            address=replace(self.target, host="", port=0).address,
            server="postgres with standbys",
            version=described[0].version if described else "",
            started_by=f"a primary and {standbys} {'standby' if standbys == 1 else 'standbys'}, {how}",
            state="up" if any(one.state == "up" for one in described) else "down",
        )

    def events(self) -> list[StackEvent]:
        """None of its own."""
        return []

    def stop(self) -> None:
        """Nothing runs that would be its own."""


def postgres_group(
    log_dir: Path,
    name: str,
    settings: Mapping[str, str],
    service: str,
    servers: Sequence[str],
    *,
    synchronous: str,
) -> Iterator[StackService]:
    """The processes of a target with standbys, the first being the primary, and the target itself.

    service: the version, as an entry of the registry. servers: the names that they get.
    """
    kind = next(each for each in (ManagedPostgresMember, ManagedPostgres16Member) if each.service == service)
    password = secrets.token_urlsafe(24)
    members = [
        kind(
            log_dir,
            settings,
            each,
            servers[:1] if number else (),
            password=password,
            synchronous=synchronous,
        )
        for number, each in enumerate(servers)
    ]
    yield from members
    yield PostgresGroup(name, members)


FOLLOWERS = b"""
SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL
"""
"""What takes a copy streams too, under the same name, but replays nothing."""


def followers_of(session: ServerConnection) -> set[str]:
    """The standbys that a server streams to, by name. Raises NoAnswer."""
    return {str(name) for (name,) in session.rows(FOLLOWERS, ANSWER_S)}


def wait_for_standbys(session: ServerConnection, members: Sequence[ManagedPostgresMember]) -> None:
    """Let the commits of a primary wait for any one of the others, where they are to. Raises NoAnswer."""
    if members[0].synchronous != ASYNCHRONOUS:
        names = ", ".join(f'"{member.name}"' for member in members)
        session.rows(f"ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ({names})'".encode(), ANSWER_S)
        session.rows(b"SELECT pg_reload_conf()", ANSWER_S)
        until = time.monotonic() + ANSWER_S
        waits = b"SELECT 1 FROM pg_stat_replication WHERE sync_state = 'quorum'"
        while not session.rows(waits, ANSWER_S):
            if time.monotonic() > until:
                raise NoAnswer(f"{members[0].name}: no standby that its commits wait for")
            time.sleep(POLL_S)


def wait_for_nobody(session: ServerConnection) -> None:
    """Let the commits of a new primary wait for no standby: none follows it yet. Raises NoAnswer."""
    if session.rows(b"SHOW synchronous_standby_names", ANSWER_S) != [("",)]:
        session.rows(b"ALTER SYSTEM SET synchronous_standby_names = ''", ANSWER_S)
        session.rows(b"SELECT pg_reload_conf()", ANSWER_S)
