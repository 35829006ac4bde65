"""Certificates made with openssl, and the distribution's servers that speak TLS with them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bench.stack.target import Target
from bench.stack.tls import TlsSettings

NAMES = "DNS:localhost,IP:127.0.0.1"
START_S = 30.0


def program(name: str, folder: str = "/usr/sbin") -> str:
    """The path of a program; the test is skipped where it is not installed."""
    found = shutil.which(name, path=f"{folder}:/usr/sbin:/usr/bin:/usr/local/bin:/usr/lib/postgresql/15/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _openssl(*words: str | Path) -> None:
    subprocess.run([program("openssl"), *map(str, words)], check=True, capture_output=True)


class Authority:
    """A certificate authority and what it has signed, in a folder: NAME.pem with NAME.key."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self.folder = folder
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3", "-subj", f"/CN={name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-keyout", self._key, "-out", self.ca),
        )

    def sign(self, name: str, common_name: str, names: str = NAMES, days: int = 3) -> tuple[Path, Path]:
        """(certificate, key); with fewer than no days it has expired already."""
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common_name}"),
            *("-keyout", key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", certificate),
        )
        return certificate, key


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], port: int, folder: Path, user: str | None = None, ready: str = ""
) -> Iterator[None]:
    """The server, until the block ends; when the block begins it listens, and its log has said `ready`."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, user=user, stdin=subprocess.DEVNULL
        )
    try:
        end = time.monotonic() + START_S
        while True:
            said = (folder / "server.log").read_text(errors="replace")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                if ready in said:
                    break
            assert process.poll() is None, f"{command[0]} ended: {said}"
            assert time.monotonic() < end, f"{command[0]} does not listen: {said}"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(START_S)


@contextlib.contextmanager
def redis_over_tls(
    folder: Path, ca: Path, pair: tuple[Path, Path], *, mutual: bool = False, plain: bool = False
) -> Iterator[int]:
    """redis-server with TLS only (or without any); its port."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    tls = [
        *("--port", "0", "--tls-port", str(port), "--tls-ca-cert-file", str(ca)),
        *("--tls-cert-file", str(pair[0]), "--tls-key-file", str(pair[1])),
        *("--tls-auth-clients", "yes" if mutual else "no"),
    ]
    command = [
        *(program("redis-server"), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)),
        *(["--port", str(port)] if plain else tls),
    ]
    with running(command, port, folder):
        yield port


@contextlib.contextmanager
def nginx_over_tls(folder: Path, ca: Path, pair: tuple[Path, Path], *, mutual: bool = False) -> Iterator[int]:
    """nginx that answers every request with ok over TLS; its port."""
    port = free_port()
    folder.mkdir(exist_ok=True)
    client = f"ssl_client_certificate {ca}; ssl_verify_client on;" if mutual else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;\n"
        f"fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n"
        "keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; {client}\n"
        f"ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};\n"
        'location / { return 200 "ok"; }\n'
        'location /once { keepalive_requests 1; return 200 "ok"; } } }\n'
    )
    with running([program("nginx"), "-c", str(folder / "nginx.conf")], port, folder):
        yield port


@contextlib.contextmanager
def postgres_over_tls(_: Path, ca: Path, pair: tuple[Path, Path], *, mutual: bool = False) -> Iterator[int]:
    """PostgreSQL 15 that lets in over TLS only, in a folder of its own; its port."""
    port = free_port()
    user = "postgres" if os.getuid() == 0 else None
    initdb, postgres = program("initdb"), program("postgres")
    # Not below pytest's folders: another user than root may not enter those.
    with tempfile.TemporaryDirectory(prefix="tls-postgres-") as made:
        folder = Path(made)
        data = folder / "data"
        for name, source in (("ca.pem", ca), ("server.pem", pair[0]), ("server.key", pair[1])):
            shutil.copy(source, folder / name)
            (folder / name).chmod(0o600)
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        rule = "trust clientcert=verify-ca" if mutual else "trust"
        (data / "pg_hba.conf").write_text(f"hostssl all all 127.0.0.1/32 {rule}\n")
        command = [
            *(postgres, "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"),
            *("-c", "ssl=on", "-c", f"ssl_ca_file={folder}/ca.pem", "-c", "fsync=off"),
            *("-c", f"ssl_cert_file={folder}/server.pem", "-c", f"ssl_key_file={folder}/server.key"),
        ]
        with running(command, port, folder, user, "ready to accept connections"):
            yield port


SERVERS: dict[str, Callable[..., contextlib.AbstractContextManager[int]]] = {
    "redis": redis_over_tls,
    "http": nginx_over_tls,
    "postgres": postgres_over_tls,
}


@dataclass
class Certificates:
    """What the tests trust, show and refuse."""

    authority: Authority
    other: Authority
    right: tuple[Path, Path]
    expired: tuple[Path, Path]
    elsewhere: tuple[Path, Path]
    ours: tuple[Path, Path]

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        """All of them."""
        authority = Authority(folder)
        ours = authority.sign("ours", "postgres")
        ours[1].chmod(0o600)
        return cls(
            authority,
            Authority(folder, "other"),
            authority.sign("right", "server"),
            authority.sign("expired", "server", days=-1),
            authority.sign("elsewhere", "server", names="DNS:elsewhere.example"),
            ours,
        )


class Park:
    """Servers by kind and certificate, each started when it is first asked for."""

    def __init__(self, certificates: Certificates, folder: Path) -> None:
        self._certificates, self._folder = certificates, folder
        self._started: dict[tuple[str, str, bool], int] = {}
        self._stack = contextlib.ExitStack()

    def target(self, kind: str, shown: str = "right", *, mutual: bool = False) -> Target:
        wanted = (kind, shown, mutual)
        if wanted not in self._started:
            folder = self._folder / "-".join(map(str, wanted))
            pair: tuple[Path, Path] = getattr(self._certificates, shown)
            server = SERVERS[kind](folder, self._certificates.authority.ca, pair, mutual=mutual)
            self._started[wanted] = self._stack.enter_context(server)
        trusted = TlsSettings(ca=self._certificates.authority.ca)
        user = "postgres" if kind == "postgres" else None
        return Target(kind, kind, "127.0.0.1", self._started[wanted], username=user, tls=trusted)

    def close(self) -> None:
        self._stack.close()


def with_tls(target: Target, **changes: object) -> Target:
    assert target.tls is not None
    return replace(target, tls=replace(target.tls, **changes))  # type: ignore[arg-type]  # fields of TlsSettings


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority, and of another one."""
    return Certificates.made_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def park(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Park]:
    """The servers that speak TLS with them."""
    servers = Park(certificates, tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()
