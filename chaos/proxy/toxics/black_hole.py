"""Black hole: connections stay open and nothing gets through."""

from __future__ import annotations

from chaos.proxy.toxic import DIRECTION, Choice, Toxic, settings


class BlackHole(Toxic):
    """Nothing is read and nothing passed on, no end and no reset either; upstream is not dialled.

    With one direction it is half a black hole: requests arrive and answers vanish, or the reverse.
    What was sent meanwhile waits in the kernel and flows on afterwards, as TCP would resend it;
    with `reset_on_heal` every connection that lived through it is reset instead.
    """

    kind = "black_hole"
    unit = "directions and dials held"
    takes = settings(direction=DIRECTION, reset_on_heal=Choice(False, True))
