"""What the proxy adds to a round trip when it has nothing to do: the same request, direct and through it.

`python -m tests.benchmarks.durability.added_delay` measures it with PING against an embedded Redis.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.core.clock import monotonic_ns
from chaos.proxy.client import FaultProxy

BLOCK = 200
"""Round trips on one path before it is the other's turn: what disturbs the machine disturbs both."""
PING = b"*1\r\n$4\r\nPING\r\n"
PONG_BYTES = 7


@dataclass(frozen=True)
class AddedDelay:
    """Round trips of both paths in ns, sorted, one pair for every block."""

    direct_ns: tuple[int, ...]
    through_ns: tuple[int, ...]

    def added_ns(self, quantile: float) -> int:
        """Difference of the quantiles (nearest rank), ns."""
        return _quantile(self.through_ns, quantile) - _quantile(self.direct_ns, quantile)

    def __str__(self) -> str:
        lines = []
        for name, values in (("direct", self.direct_ns), ("proxy", self.through_ns)):
            figures = "  ".join(f"P{q * 100:g} {_quantile(values, q) / 1e3:.1f} us" for q in (0.5, 0.99))
            lines.append(f"{name:7} {figures}  n {len(values)}")
        lines.append(f"added   P50 {self.added_ns(0.5) / 1e3:.1f} us  P99 {self.added_ns(0.99) / 1e3:.1f} us")
        return "\n".join(lines)


def measured(
    direct: tuple[str, int],
    through: tuple[str, int],
    request: bytes = PING,
    answer_bytes: int = PONG_BYTES,
    blocks: int = 50,
) -> AddedDelay:
    """Blocks of round trips by turns on one connection each. Raises OSError."""
    with socket.create_connection(direct) as one, socket.create_connection(through) as other:
        found: dict[socket.socket, list[int]] = {one: [], other: []}
        for stream in found:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(blocks):
            for stream, times in found.items():
                _round_trips(stream, request, answer_bytes, BLOCK // 10)  # wakes both sides up
                times.extend(_round_trips(stream, request, answer_bytes, BLOCK))
        return AddedDelay(tuple(sorted(found[one])), tuple(sorted(found[other])))


def _round_trips(stream: socket.socket, request: bytes, answer_bytes: int, count: int) -> list[int]:
    times = []
    for _ in range(count):
        begun_ns = monotonic_ns()
        stream.sendall(request)
        got = 0
        while got < answer_bytes:
            data = stream.recv(answer_bytes - got)
            if not data:
                raise ConnectionError("closed in the middle of an answer")
            got += len(data)
        times.append(monotonic_ns() - begun_ns)
    return times


def _quantile(values: tuple[int, ...], quantile: float) -> int:
    return values[min(len(values) - 1, int(quantile * len(values)))]


def main() -> None:
    """Measure and print."""
    from bench.stack.stack import open_stack

    with (
        tempfile.TemporaryDirectory() as logs,
        open_stack("embedded", {"redis"}, Path(logs)) as stack,
    ):
        target = stack.targets()["redis"]
        with FaultProxy(target.host, target.port, name="redis") as proxy:
            direct = target.host, target.port
            sys.stdout.write(f"{measured(direct, proxy.address)}\n")


if __name__ == "__main__":
    main()
