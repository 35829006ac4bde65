"""An nginx of our own on loopback that gives one answer: the server of the subject "static HTTP".

Debian's program with a configuration of ours in a temporary folder, run like the services of the
embedded stack: under a supervisor that ends it whatever happens to us, and as nobody when we are root.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.health import Facts
from bench.stack.probes.http import http_get, probe_http
from bench.stack.services.base import ManagedService
from bench.stack.services.programs import ServerBinary, account_for_servers
from bench.stack.supervisor.supervised import ServiceCommand
from bench.stack.target import Target
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.programs import DebianProgram

PROGRAM = DebianProgram("nginx", "nginx", version_flag="-v")
ANSWER_PATH = "/"
COUNT_PATH = "/count"
BODY = ("static answer " * 44)[:612]
"""As long as nginx's own welcome page."""

ASK_S = 10.0
PARTS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
"""nginx makes a folder for each at its start, though none is used; all go into ours."""

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    default_type text/plain;
{temporary}
    server {{
        listen {host}:{port};
        location / {{ return 200 "{body}"; }}
        location = {count} {{ stub_status; }}
    }}
}}
"""


class StaticNginx(ManagedService):
    """One worker, no log, connections kept for as long as anyone likes."""

    service = "static"
    ready_deadline_s = 20.0
    ready_means = "an nginx with our answer"

    def __init__(self, log_dir: Path, program: str) -> None:
        super().__init__(log_dir)
        self._program = program

    def find_program(self) -> ServerBinary:
        """What was found before."""
        return ServerBinary(Path(self._program), f"Debian's package {PROGRAM.package}")

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        account = account_for_servers()
        data = directory / "data"
        data.mkdir(mode=0o700)
        if account is not None:
            directory.chmod(0o711)
            os.chown(data, account.user_id, account.group_id)
        configuration = data / "nginx.conf"
        configuration.write_text(configuration_of(target, data), encoding="utf-8")
        configuration.chmod(0o644)
        command = (self._program, "-e", "stderr", "-p", str(data), "-c", str(configuration))
        return ServiceCommand(
            self.name,
            command,
            str(data),
            str(log),
            user_id=account.user_id if account else None,
            group_id=account.group_id if account else None,
        )

    def _probe(self, target: Target, deadline_s: float) -> Facts:
        facts = probe_http(target, deadline_s)
        name, _, version = facts.server.partition("/")
        if name != "nginx":
            found = f"the server '{facts.server}'"
            raise TargetError(self.name, target.address, self.ready_means, found, "look at who listens there")
        return Facts(server=name, version=version)


def configuration_of(target: Target, folder: Path) -> str:
    """The whole configuration. It names no path but those in `folder`."""
    temporary = "\n".join(f"    {part}_temp_path {folder}/{part};" for part in PARTS)
    return CONFIGURATION.format(
        folder=folder, host=target.host, port=target.port, body=BODY, count=COUNT_PATH, temporary=temporary
    )


def requests_of(target: Target) -> int:
    """Requests since nginx's start, this one among them. Raises TurnFailed."""
    try:
        answer = http_get(target, COUNT_PATH, ASK_S)
    except ProbeError as fact:
        raise TurnFailed(f"nginx does not answer any more: {fact}") from None
    return count_in(answer.body.decode(errors="replace"))


def count_in(text: str) -> int:
    """The third number under "server accepts handled requests". Raises TurnFailed."""
    found = re.search(r"accepts handled requests\s+\d+\s+\d+\s+(\d+)", text)
    if found is None:
        raise TurnFailed(f"expected nginx's count of requests, found {text[:100]!r}")
    return int(found[1])
