"""Slow close: the end of the bytes comes later than the bytes."""

from __future__ import annotations

from chaos.proxy.toxic import DAY_NS, DIRECTION, Setting, Toxic, settings


class SlowClose(Toxic):
    """A FIN is passed on `delay` after it would have been; a reset is not held."""

    kind = "slow_close"
    unit = "ends delayed"
    takes = settings(delay=Setting("ns", 0, DAY_NS), direction=DIRECTION)

    @property
    def delay_ns(self) -> int:
        """How much later."""
        delay: int = self.settings["delay"]
        return delay
