"""PgBouncer before a Postgres, or a skipped test where it is not installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from bench.stack.probes.postgres import libpq_parameters
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.target import Target

Mode = Literal["session", "transaction"]


class Pooler:
    """PgBouncer before a Postgres."""

    def __init__(self, target: Target, folder: Path, mode: Mode, size: int) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            pytest.skip("pgbouncer is not installed")
        port = free_loopback_port()
        said = libpq_parameters(target)
        behind = f"host={target.host} port={target.port} dbname={said['dbname']} user={said['user']}"
        behind += f" password={target.password}" if target.password else ""
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = {behind}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = any\nmax_client_conn = 500\ndefault_pool_size = {size}\n"
            f"pool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n"
        )
        who = ["-u", "nobody"] if os.geteuid() == 0 else []
        settings.chmod(0o644)
        for above in (folder, *folder.parents[:2]):
            with suppress(PermissionError):
                above.chmod(0o755)
        self._process = subprocess.Popen([program, *who, "-q", str(settings)], stderr=subprocess.DEVNULL)
        self.target = replace(target, host="127.0.0.1", port=port)
        """Without a word of the pooler."""
        self.declared = replace(self.target, pooler=mode)
        end = time.monotonic() + 20
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            assert self._process.poll() is None, "pgbouncer ended"
            assert time.monotonic() < end, "pgbouncer does not listen"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
