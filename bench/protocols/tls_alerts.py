"""Alerts of TLS: by which a server ends a connection, also behind the handshake (RFC 8446, section 6)."""

from typing import Final

ALERTS: Final = {
    10: "unexpected message",
    20: "bad record mac",
    22: "record overflow",
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    47: "illegal parameter",
    48: "unknown ca",
    49: "access denied",
    50: "decode error",
    51: "decrypt error",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    86: "inappropriate fallback",
    90: "user cancelled",
    109: "missing extension",
    110: "unsupported extension",
    112: "unrecognized name",
    116: "certificate required",
    120: "no application protocol",
}
"""By number, in OpenSSL's words."""
REASON_OFFSET, REASON_END = 1000, 1256
"""OpenSSL's reasons between these are alerts that came from the other side."""
REASON_MASK = 0xFFF
"""Of a number of OpenSSL's errors: in its version 1.1 the reason's field ends here, in 3 it goes on."""


def alert_in(reason: str) -> int | None:
    """The number of the alert in a `reason` of Python's ssl module; None where it is none that came here.

    OpenSSL puts the version before it, TLSV13_ALERT_CERTIFICATE_REQUIRED, and sometimes leaves ALERT out.
    """
    if not reason.startswith(("TLSV1", "SSLV3_ALERT_")):
        return None
    words = reason.lower().replace("_", " ")
    return next((number for number, name in ALERTS.items() if words.endswith(name)), None)
