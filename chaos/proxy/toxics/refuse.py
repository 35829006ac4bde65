"""Refuse: the port is closed."""

from __future__ import annotations

from chaos.proxy.toxic import Choice, Toxic, settings


class Refuse(Toxic):
    """The port is closed, so that new connections get ECONNREFUSED; live ones stay, or are reset by option.

    The kernel refuses them, so they cannot be counted. The proof is a connection of our own to the
    closed port, whenever its effects are asked for.
    """

    kind = "refuse"
    unit = "own connections refused"
    takes = settings(reset_live=Choice(False, True))
