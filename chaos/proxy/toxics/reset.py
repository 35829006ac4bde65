"""Reset: connections break with a TCP reset."""

from __future__ import annotations

from chaos.proxy.toxic import Choice, Toxic, settings


class Reset(Toxic):
    """Every live connection is reset on both sides at once; while it is in force, new ones too.

    With `new_connections` False it is over with that, and may act together with any other toxic.
    """

    kind = "reset"
    unit = "connections reset"
    takes = settings(new_connections=Choice(True, False))
