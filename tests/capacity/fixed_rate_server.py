"""A little Redis whose capacity is known: python -m tests.capacity.fixed_rate_server RATE.

It answers one GET after the other, each after 1/RATE seconds; the others wait. Says its port on stdout.
"""

import asyncio
import sys
import time

from tests.truth.truth_server import Truth


class FixedRate(Truth):
    """Serves so many requests a second, and no more."""

    def __init__(self, rate_per_s: float) -> None:
        super().__init__("fixed")
        self.service_s = 1 / rate_per_s

    def delay_s(self, number: int, answered: int) -> float:
        """Until the server has done what came before, and this."""
        now = time.monotonic()
        self.free_at = max(self.free_at, now) + self.service_s
        return self.free_at - now


async def main() -> None:
    """Serve until killed."""
    truth = FixedRate(float(sys.argv[1]))
    server = await asyncio.start_server(truth.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
