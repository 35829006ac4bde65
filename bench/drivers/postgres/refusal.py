"""What to do about a PostgreSQL that answered a log-in with no: each kind of refusal has its own remedy."""

from __future__ import annotations

_ADVICE = (
    (
        ("53300",),
        ("too many", "remaining connection slots"),
        "use fewer lanes or a smaller pool, or raise the limit: "
        "max_connections of the server, or that of the role or database",
    ),
    (
        ("57P03",),
        ("starting up", "shutting down", "in recovery mode", "not yet accepting connections"),
        "wait until the server accepts connections; its log says what it is doing",
    ),
    (
        ("28P01",),
        ("password authentication failed", "no password supplied"),
        "check the user and the password in the URL",
    ),
    (("3D000",), (), "check the database in the URL"),
    (("28000",), ("pg_hba.conf",), "check the user in the URL, and what pg_hba.conf says of this host"),
)
_OTHERWISE = "check user, password and database in the URL; the server's log says more"


def advice_for_refusal(said: str, sqlstate: str | None) -> str:
    """What whoever reads `said` should do; libpq often tells no SQLSTATE while it connects."""
    for states, words, advice in _ADVICE:
        if sqlstate in states or any(word in said for word in words):
            return advice
    return _OTHERWISE
