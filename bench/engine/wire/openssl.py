"""OpenSSL by symbol: sessions that the control plane begins and the compiled loop reads and writes.

Python's own TLS objects do not give their SSL away, so a lane's is made here, with libssl as Python's ssl
module has it. The loop calls the functions of LOOP_SYMBOLS under names of ours, which hold the addresses
of this very library: a second libssl in the process (psycopg brings one along) cannot be mistaken for it.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.stack.target import Target

WANT_READ, WANT_WRITE = 2, 3
SYSCALL, ZERO_RETURN = 5, 6
_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH = 62, 64
_SET_MODE, _SET_SESSION_CACHE, _SET_SNI, _SET_LEAST_VERSION = 33, 44, 55, 123
_TLS_1_2 = 0x0303
_PEM = 1
_NO_PARTIAL_WILDCARDS = 4
_IGNORE_UNEXPECTED_EOF, _NO_RENEGOTIATION = 1 << 7, 1 << 30
"""As Python has it, an end without a farewell is an end: what it means is the protocol's to say."""
_PARTIAL_WRITES, _MOVING_BUFFER = 1, 2

LOOP_SYMBOLS = (
    "SSL_read",
    "SSL_write",
    "SSL_get_error",
    "SSL_shutdown",
    "SSL_free",
    "ERR_clear_error",
    "ERR_peek_last_error",
)


def _loaded() -> Any:
    """The libssl that Python's ssl module has loaded, else the system's; None where there is none."""
    for name in ("libssl.so.3", "libssl.so.1.1"):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name, use_errno=True)
    return None


LIBRARY = _loaded()
if LIBRARY is not None:
    _SSL = (ctypes.c_void_p,)
    for _name, _result, _arguments in (
        ("TLS_client_method", ctypes.c_void_p, ()),
        ("SSL_CTX_new", ctypes.c_void_p, _SSL),
        ("SSL_CTX_free", None, _SSL),
        ("SSL_CTX_set_options", ctypes.c_uint64, (*_SSL, ctypes.c_uint64)),
        ("SSL_CTX_ctrl", ctypes.c_long, (*_SSL, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)),
        ("SSL_CTX_set_verify", None, (*_SSL, ctypes.c_int, ctypes.c_void_p)),
        ("SSL_CTX_set_default_verify_paths", ctypes.c_int, _SSL),
        ("SSL_CTX_load_verify_locations", ctypes.c_int, (*_SSL, ctypes.c_char_p, ctypes.c_char_p)),
        ("SSL_CTX_use_certificate_chain_file", ctypes.c_int, (*_SSL, ctypes.c_char_p)),
        ("SSL_CTX_use_PrivateKey_file", ctypes.c_int, (*_SSL, ctypes.c_char_p, ctypes.c_int)),
        ("SSL_new", ctypes.c_void_p, _SSL),
        ("SSL_free", None, _SSL),
        ("SSL_set_fd", ctypes.c_int, (*_SSL, ctypes.c_int)),
        ("SSL_set_connect_state", None, _SSL),
        ("SSL_ctrl", ctypes.c_long, (*_SSL, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)),
        ("SSL_get0_param", ctypes.c_void_p, _SSL),
        ("X509_VERIFY_PARAM_set_hostflags", None, (*_SSL, ctypes.c_uint)),
        ("X509_VERIFY_PARAM_set1_host", ctypes.c_int, (*_SSL, ctypes.c_char_p, ctypes.c_size_t)),
        ("X509_VERIFY_PARAM_set1_ip_asc", ctypes.c_int, (*_SSL, ctypes.c_char_p)),
        ("SSL_do_handshake", ctypes.c_int, _SSL),
        ("SSL_read", ctypes.c_int, (*_SSL, ctypes.c_void_p, ctypes.c_int)),
        ("SSL_write", ctypes.c_int, (*_SSL, ctypes.c_void_p, ctypes.c_int)),
        ("SSL_shutdown", ctypes.c_int, _SSL),
        ("SSL_get_error", ctypes.c_int, (*_SSL, ctypes.c_int)),
        ("SSL_get_verify_result", ctypes.c_long, _SSL),
        ("X509_verify_cert_error_string", ctypes.c_char_p, (ctypes.c_long,)),
        ("ERR_clear_error", None, ()),
        ("ERR_peek_last_error", ctypes.c_ulong, ()),
        ("ERR_reason_error_string", ctypes.c_char_p, (ctypes.c_ulong,)),
    ):
        _function = getattr(LIBRARY, _name)
        _function.restype, _function.argtypes = _result, _arguments


def address_of(symbol: str) -> int:
    """Where a function of the library is; of libc's abort where there is none, so that the loop can be
    linked: no lane has a session then.
    """
    library, name = (ctypes.CDLL(None), "abort") if LIBRARY is None else (LIBRARY, symbol)
    return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0


class TlsClient:
    """What all sessions to one target have in common: whom to trust and who we are."""

    def __init__(self, target: Target) -> None:
        """Raises TargetError for a file that cannot be used, and where there is no OpenSSL."""
        assert target.tls is not None
        tls = self._tls = target.tls
        if LIBRARY is None:
            raise target.error(
                "OpenSSL (libssl), which speaks TLS for the wire engine",
                "none on this machine",
                "install it, or write engine: client for this workload",
            )
        target.tls_context()  # says which file is missing or no good
        library = self._library = LIBRARY
        context = self._context = library.SSL_CTX_new(library.TLS_client_method())
        library.SSL_CTX_set_options(context, _IGNORE_UNEXPECTED_EOF | _NO_RENEGOTIATION)
        library.SSL_CTX_ctrl(context, _SET_MODE, _PARTIAL_WRITES | _MOVING_BUFFER, None)
        library.SSL_CTX_ctrl(context, _SET_SESSION_CACHE, 0, None)
        library.SSL_CTX_ctrl(context, _SET_LEAST_VERSION, _TLS_1_2, None)
        library.SSL_CTX_set_verify(context, int(tls.verify), None)
        if tls.ca is None:
            library.SSL_CTX_set_default_verify_paths(context)
        else:
            library.SSL_CTX_load_verify_locations(context, bytes(tls.ca), None)
        if tls.certificate is not None:
            library.SSL_CTX_use_certificate_chain_file(context, bytes(tls.certificate))
            library.SSL_CTX_use_PrivateKey_file(context, bytes(tls.key or tls.certificate), _PEM)
        library.ERR_clear_error()

    def session(self, fd: int, host: str) -> int:
        """A new session on a connected descriptor, ready for its handshake; the caller frees it."""
        library, name = self._library, self.name_of(host)
        session = int(library.SSL_new(self._context))
        library.SSL_set_fd(session, fd)
        library.SSL_set_connect_state(session)
        rules, is_address = library.SSL_get0_param(session), _is_address(name)
        written = name.encode("ascii" if name.isascii() else "idna")
        if not is_address:
            library.SSL_ctrl(session, _SET_SNI, 0, written)
        if self._tls.verify and self._tls.check_name:
            library.X509_VERIFY_PARAM_set_hostflags(rules, _NO_PARTIAL_WILDCARDS)
            if is_address:
                library.X509_VERIFY_PARAM_set1_ip_asc(rules, written)
            else:
                library.X509_VERIFY_PARAM_set1_host(rules, written, 0)
        return session

    def name_of(self, host: str) -> str:
        """The name that a server on that host must have."""
        return self._tls.server_name or host

    def close(self) -> None:
        """Let go of it; sessions that are left go on. Idempotent."""
        context, self._context = self._context, None
        self._library.SSL_CTX_free(context)


def failure_of(session: int, result: int, name: str) -> int | OSError | None:
    """Why a call on a session did not succeed: WANT_READ or WANT_WRITE, an error in the words of Python's
    ssl module, or None where the server has ended the stream.
    """
    code = ctypes.get_errno()
    kind = LIBRARY.SSL_get_error(session, result)
    if kind in (WANT_READ, WANT_WRITE):
        return int(kind)
    last = LIBRARY.ERR_peek_last_error()
    LIBRARY.ERR_clear_error()
    if kind == ZERO_RETURN or (kind == SYSCALL and (result == 0 or code == 0)):
        return None
    if kind == SYSCALL:
        return OSError(code, "")
    if why := LIBRARY.SSL_get_verify_result(session):
        words = LIBRARY.X509_verify_cert_error_string(why).decode()
        if why in (_HOSTNAME_MISMATCH, _ADDRESS_MISMATCH):
            words = f"{words[0].upper()}{words[1:]}, certificate is not valid for '{name}'"
        untrusted = ssl.SSLCertVerificationError(1, words)
        untrusted.verify_code, untrusted.verify_message = why, words
        return untrusted
    words = (LIBRARY.ERR_reason_error_string(last) or b"").decode()
    refused = ssl.SSLError(1, words)
    refused.reason = words.upper().replace(" ", "_")
    return refused


def free(session: int) -> None:
    """End a session; its descriptor stays open."""
    LIBRARY.SSL_free(session)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
