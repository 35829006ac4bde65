"""Cutting a process off the network: not possible for one of ours on loopback, and said so."""

from __future__ import annotations

from chaos.faults.kill import Kill


class Disconnect(Kill):
    """Only containers have a network of their own to be taken from."""

    def check(self) -> None:
        """Always refused."""
        raise self.around.refuse(
            self.plan.target,
            "a container, whose network can be taken away",
            "a process on loopback",
            "use --stack docker, or {black_hole: " + self.plan.target + "} to the same effect for the load",
        )
