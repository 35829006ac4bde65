"""Whom the web UI lets in: everybody on this machine, others only when told so, and with a password."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from bench.core.errors import ExitCode
from bench.swarm.web.auth_middleware import PASSWORD_VARIABLE, USER_VARIABLE, Credentials, is_loopback

if TYPE_CHECKING:
    from argparse import Namespace

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
