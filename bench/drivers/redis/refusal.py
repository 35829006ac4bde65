"""What to do about a Redis that let us connect and then said no: each kind of refusal has its own remedy."""

from __future__ import annotations

_ADVICE = (
    ("LOADING", "wait until it has loaded its data"),
    ("MASTERDOWN", "wait until it has its primary back"),
    ("BUSY ", "wait for the script that it runs, or end that with SCRIPT KILL"),
    ("DENIED", "connect from its own machine, or give it a password"),
    ("NOAUTH", "put the password into the URL: redis://:password@host:port"),
    ("WRONGPASS", "check the user and the password in the URL"),
    ("NOPERM", "give the user the right to this command"),
    ("NOPROTO", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR unknown command 'HELLO'", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR unknown command `HELLO`", "use protocol version 2 (resp: 2): this server knows no other"),
    ("ERR max number of clients", "use fewer lanes, end connections that nobody uses, or raise maxclients"),
    ("ERR DB index", "check the number of the database in the URL"),
    ("ERR invalid DB index", "check the number of the database in the URL"),
    ("ERR AUTH", "leave the password out of the URL, or set one on the server"),
    ("ERR Client sent AUTH", "leave the password out of the URL, or set one on the server"),
)
_OTHERWISE = "look into the server's log"


def advice_for_refusal(answer: str) -> str:
    """What whoever reads `answer`, an error of a Redis to a client that begins, should do."""
    return next((advice for start, advice in _ADVICE if answer.startswith(start)), _OTHERWISE)
