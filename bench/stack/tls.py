"""TLS to a target: whom to trust, who we are, under which name; and what a failed handshake means.

The files are read when a connection is to be made, not when a URL or a stack file is read: a key belongs
in no process that does not need it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterable


class NamedContext(ssl.SSLContext):
    """A context that knows the server's name itself: asyncpg, redis-py and aiohttp ask for their host's."""

    server_name: str | None = None

    def wrap_socket(  # type: ignore[override]  # server_hostname by name only, as all callers have it
        self, sock: Any, *, server_hostname: str | None = None, **options: Any
    ) -> ssl.SSLSocket:
        """As ssl.SSLContext has it."""
        return super().wrap_socket(sock, server_hostname=self.server_name or server_hostname, **options)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As ssl.SSLContext has it; asyncio's transports call it."""
        name = self.server_name or server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, name, session)


@dataclass(frozen=True)
class TlsSettings:
    """How a target is reached over TLS. By default: the system's CAs, the host's own name, no certificate."""

    ca: Path | None = None
    """PEM, of the certificate authorities to trust instead of the system's (and of SSL_CERT_FILE's)."""
    certificate: Path | None = None
    """PEM, of our own certificate with its chain, for a server that wants one."""
    key: Path | None = None
    """PEM, of its private key. None: it is in the file of the certificate."""
    server_name: str | None = None
    """The name that is asked for and that the server's certificate must have. None: the host."""
    verify: bool = True
    """Whether the server's certificate is checked at all."""
    check_name: bool = True
    """Whether its name is checked too: not in sslmode=verify-ca of Postgres."""

    @property
    def trust(self) -> str:
        """How far the server's certificate is checked, for a run and its reports."""
        if not self.verify:
            return "TLS, certificate not verified"
        return "TLS" if self.check_name else "TLS, name in the certificate not verified"

    def context(self, name: str, address: str) -> ssl.SSLContext:
        """What Python's ssl, asyncio and the client libraries take.

        Raises TargetError, about the target `name` at `address`, for a file that is missing or cannot be
        used.
        """

        if self.key is not None and self.certificate is None:
            found, advice = f"only its key, {self.key}", "name the certificate that belongs to it"
            raise TargetError(name, address, "a certificate of ours", found, advice)
        context = NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.server_name = self.server_name
        expected, path = "certificates of authorities (PEM)", self.ca
        try:
            if self.ca is not None:
                context.load_verify_locations(self.ca)
            else:
                context.load_default_certs()
            for expected, path in (  # noqa: B007 - for the message
                ("the certificate's private key (PEM)", self.key),
                ("our certificate and its private key (PEM)", self.certificate),
            ):
                if path is not None:
                    path.open("rb").close()  # load_cert_chain would not say which of the two is missing
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except (_LockedKeyError, OSError) as error:
            found, advice = _unusable(error)
            key = f" with the key {self.key}" if self.key and path == self.certificate else ""
            raise TargetError(name, address, f"{expected} in {path}{key}", found, advice) from None
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif not self.check_name:
            context.check_hostname = False
        return context


def failure_of(error: Exception) -> tuple[str, str] | None:
    """(what was found, the advice) for an error of TLS; None for any other error.

    In TLS 1.3 a server says that it wants a certificate only after the handshake, in answer to the first
    bytes: such errors come from reading, too.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        found = f"a certificate that is not trusted here ({why})"
        if "ostname mismatch" in why or "IP address mismatch" in why:
            return found, "use a name that is in the certificate, or give it as the server's name of TLS"
        if "expired" in why or "not yet valid" in why:
            return found, "renew the server's certificate, and check the clock of this machine"
        return found, "name the authority that signed it: the CA of the target's TLS, or SSL_CERT_FILE"
    if not isinstance(error, ssl.SSLError):
        return None
    if isinstance(error, ssl.SSLEOFError):
        return (
            "a server that closed the connection in the midst of TLS",
            "check the port and the server's log",
        )
    reason = error.reason or ""
    words = reason.lower().replace("_", " ")
    for piece, found, advice in _ALERTS:
        if piece in reason:
            return f"{found} ({words})", advice
    return f"no TLS there ({words})" if words else "no TLS there", "check the port, and whether it speaks TLS"


_OURS = "check our certificate and key, and the authorities that the server trusts for its clients"
_ALERTS = (
    ("CERTIFICATE_REQUIRED", "a server that wants a client certificate", "name a certificate and its key"),
    ("ALERT_HANDSHAKE_FAILURE", "a server that refused the handshake", _OURS),
    ("ALERT_UNKNOWN_CA", "a server that does not trust the authority of our certificate", _OURS),
    ("ALERT_CERTIFICATE_EXPIRED", "a server for which our certificate has expired", "renew our certificate"),
    ("ALERT_BAD_CERTIFICATE", "a server that refused our certificate", _OURS),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "a server that refused our certificate", _OURS),
    ("ALERT_CERTIFICATE_UNKNOWN", "a server that refused our certificate", _OURS),
    ("UNRECOGNIZED_NAME", "a server that does not know this name", "check the server's name of TLS"),
)


class _LockedKeyError(Exception):
    """A private key needs a passphrase."""


def _no_passphrase() -> str:
    # Without this, OpenSSL would ask at the terminal, in the middle of a run.
    raise _LockedKeyError


def _unusable(error: Exception) -> tuple[str, str]:
    """(what was found in a file, the advice)."""
    if isinstance(error, _LockedKeyError):
        advice = "store it without a passphrase, readable by this user only: openssl pkey -in KEY -out FILE"
        return "a key that needs a passphrase", advice
    if not isinstance(error, ssl.SSLError):
        found = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        return found.lower(), "check the path, and that this user may read the file"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "a key of another certificate", "name the key that the certificate was made with"
    return "nothing of the kind", "check that the file is PEM and complete"


OPTIONS = (
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_cert_reqs",
    "ssl_check_hostname",
    "ssl_server_name",
)
"""What a URL over TLS may say behind a ?: redis-py's names, and the name of the server."""
_YES_NO = {"true": True, "false": False}


class OptionError(ValueError):
    """An option's value cannot be used; args: what was found, and the advice."""


def read_options(options: Iterable[tuple[str, str]]) -> TlsSettings:
    """The settings in options of OPTIONS. Raises OptionError."""
    said = dict(options)
    wanted = said.get("ssl_cert_reqs", "required")
    if wanted not in ("required", "none"):
        raise OptionError("an ssl_cert_reqs that does not exist", "write required or none")
    checks = said.get("ssl_check_hostname", "true").lower()
    if checks not in _YES_NO:
        raise OptionError("an ssl_check_hostname that is neither true nor false", "write true or false")
    return TlsSettings(
        ca=_path(said.get("ssl_ca_certs")),
        certificate=_path(said.get("ssl_certfile")),
        key=_path(said.get("ssl_keyfile")),
        server_name=said.get("ssl_server_name") or None,
        verify=wanted == "required",
        check_name=_YES_NO[checks],
    )


def options_of(tls: TlsSettings) -> list[tuple[str, str]]:
    """The options that `read_options` makes these settings of."""
    values = (
        tls.ca,
        tls.certificate,
        tls.key,
        None if tls.verify else "none",
        None if tls.check_name else "false",
        tls.server_name,
    )
    return [(name, str(value)) for name, value in zip(OPTIONS, values, strict=True) if value is not None]


POSTGRES_OPTIONS = ("sslrootcert", "sslcert", "sslkey", "ssl_server_name")
"""Those of libpq beside sslmode, and the name of the server, for which libpq has hostaddr."""
TLS_MODES = ("require", "verify-ca", "verify-full")


def read_postgres_options(mode: str, options: Iterable[tuple[str, str]]) -> TlsSettings:
    """The settings in an sslmode of TLS_MODES and the options that stand beside it.

    As libpq has it, `require` with the certificates of authorities checks as `verify-ca` does.
    """
    said = dict(options)
    ca = _path(said.get("sslrootcert"))
    return TlsSettings(
        ca=ca,
        certificate=_path(said.get("sslcert")),
        key=_path(said.get("sslkey")),
        server_name=said.get("ssl_server_name") or None,
        verify=mode != "require" or ca is not None,
        check_name=mode != "verify-ca" and not (mode == "require" and ca is not None),
    )


def postgres_mode_of(tls: TlsSettings) -> str:
    """The sslmode that checks what these settings check."""
    if not tls.verify:
        return "require"
    return "verify-full" if tls.check_name else "verify-ca"


def postgres_options_of(tls: TlsSettings) -> list[tuple[str, str]]:
    """sslmode and the options that `read_postgres_options` makes these settings of."""
    # With these beside it, `require` would check: libpq cannot say otherwise.
    ca = tls.ca if tls.verify else None
    values = (ca, tls.certificate, tls.key, tls.server_name)
    return [("sslmode", postgres_mode_of(tls))] + [
        (name, str(value)) for name, value in zip(POSTGRES_OPTIONS, values, strict=True) if value is not None
    ]


def _path(text: str | None) -> Path | None:
    """Absolute: a target is passed on to programs that run in other folders."""
    return Path(text).absolute() if text else None
