"""Who may use the web UI: everybody on this machine; others only with --allow-remote and a password.

A gate stands before all routes, Locust's and ours:

- On loopback, requests must name a loopback host: a page of the internet that makes its own name
  point to 127.0.0.1 (DNS rebinding) still sends its own name.
- What changes something must come from our own page (Origin), also where a browser would add
  credentials by itself.
- Beyond loopback a name and a password are asked for; they are compared in constant time.
- Answers are for our own pages only: Locust allows every origin to read them, which is taken back.
"""

import base64
import binascii
import getpass
import hmac
import logging
import os
import socket
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from bench.core.errors import ExitCode
from bench.stack.target import is_loopback_literal, names_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
WRONG_PASSWORD_S = 0.5
"""Before the answer to a wrong password: guessing is slow, and no other request waits for it."""

USER_VARIABLE, PASSWORD_VARIABLE = "HOLDFAST_UI_USER", "HOLDFAST_UI_PASSWORD"


class Credentials(NamedTuple):
    """What a browser must send."""

    user: str
    password: str


def is_loopback(host: str) -> bool:
    """Whether what listens on `host` is reached from this machine alone; empty and * are every address."""
    if host in ("", "*"):
        return False
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:
        return False
    return bool(found) and all(is_loopback_literal(address.split("%")[0]) for address in found)


class Guard:
    """A WSGI application before another one.

    credentials: None asks for none, which is for loopback only.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], credentials: Credentials | None) -> None:
        self._application = application
        self._credentials = credentials

    def __call__(self, environ: WSGIEnvironment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Pass a request on, or refuse it with a sentence."""
        refusal = self._refusal(environ)
        if refusal is not None:
            status, sentence = refusal
            body = f"{sentence}\n".encode()
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
            if status.startswith("401"):
                headers.append(("WWW-Authenticate", 'Basic realm="Holdfast", charset="UTF-8"'))
            start_response(status, headers)
            return [body]

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, _own(headers), *more)

        return self._application(environ, start)

    def _refusal(self, environ: WSGIEnvironment) -> tuple[str, str] | None:
        host = environ.get("HTTP_HOST", "")
        if self._credentials is None and not names_loopback(host):
            return "421 Misdirected Request", (
                "host: expected 127.0.0.1, localhost or [::1], found another name; open the address that "
                "bench ui printed"
            )
        if self._credentials is not None and not self._is_known(environ.get("HTTP_AUTHORIZATION", "")):
            return "401 Unauthorized", "expected the name and the password that bench ui was started with"
        if environ.get("REQUEST_METHOD", "GET") not in SAFE_METHODS and not _is_our_page(environ, host):
            return "403 Forbidden", (
                "origin: expected a page of this server, found another; use the page that bench ui printed"
            )
        return None

    def _is_known(self, header: str) -> bool:
        assert self._credentials is not None
        kind, _, text = header.partition(" ")
        try:
            given = base64.b64decode(text, validate=True) if kind.lower() == "basic" else b""
        except (binascii.Error, ValueError):
            given = b""
        wanted = f"{self._credentials.user}:{self._credentials.password}".encode()
        if hmac.compare_digest(_digest(given), _digest(wanted)):
            return True
        if header:
            time.sleep(WRONG_PASSWORD_S)
        return False


def _digest(text: bytes) -> bytes:
    """Of one length for every text, so that comparing does not reveal the length either."""
    return hmac.digest(b"holdfast", text, "sha256")


def _is_our_page(environ: WSGIEnvironment, host: str) -> bool:
    """Every browser of today sends Origin or Sec-Fetch-Site with a POST; programs send neither."""
    if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
        return False
    source = environ.get("HTTP_ORIGIN") or environ.get("HTTP_REFERER")
    if not source:
        return True
    try:
        return bool(host) and urlsplit(source).netloc.rpartition("@")[2].lower() == host.lower()
    except ValueError:
        return False


def _own(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of an answer, for our own pages only."""
    kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
    names = {name.lower() for name, _ in kept}
    kept += [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin")]
    if "content-security-policy" not in names:
        kept.append(("Content-Security-Policy", "frame-ancestors 'self'"))
    return kept


logger = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"


def credentials_for(options: Namespace, host: str) -> Credentials | None:
    """What a browser must send; None on loopback. Ends the process where others could come in unasked."""
    user, password = os.environ.get(USER_VARIABLE, ""), os.environ.get(PASSWORD_VARIABLE, "")
    if is_loopback(host) and not password:
        return None
    shown = host or "every address"
    if not is_loopback(host) and not options.allow_remote:
        refuse(
            f"--web-host: expected an address of this machine alone such as {LOOPBACK}, found {shown}; "
            "add --allow-remote to let other machines in, who must then give a name and a password",
            ExitCode.USAGE,
        )
    if not (user and password) and sys.stdin.isatty() and sys.stderr.isatty():
        user = user or input("Name for the web UI: ")
        password = password or getpass.getpass("Password for the web UI: ")
    if not (user and password):
        refuse(
            f"--allow-remote: expected {USER_VARIABLE} and {PASSWORD_VARIABLE} in the environment, found "
            f"{'no password' if user else 'no name' if password else 'neither'}; set both",
            ExitCode.USAGE,
        )
    if not (options.tls_cert and options.tls_key) and not is_loopback(host):
        logger.warning("the password travels unencrypted; add --tls-cert and --tls-key where others listen")
    return Credentials(user, password)


def refuse(sentence: str, code: ExitCode) -> NoReturn:
    """End the process with a sentence, before anything has begun."""
    sys.stderr.write(sentence + "\n")
    sys.exit(int(code))
