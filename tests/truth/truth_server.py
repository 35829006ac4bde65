"""A little Redis whose behaviour is known: python truth_server.py BEHAVIOUR; says its port on stdout.

One thread answers all connections in turn, so what holds one up for a hang holds up all of them.
"""

from __future__ import annotations

import asyncio
import sys
import time

INFO = b"redis_version:7.2.0\r\nredis_mode:standalone\r\nused_memory:1\r\nmaxclients:1000\r\nrole:master\r\n"
BEHAVIOURS = (
    "fixed",  # 2 ms
    "bimodal",  # 1 ms, one in twenty 20 ms
    "hangs",  # nothing is answered for 0.4 s of every second
    "stalls",  # nothing is answered for 150 ms, once in a second
    "refuses",  # one request in five ends its connection
    "errors",  # one request in ten is an error
    "overload",  # 50 requests a second, one after the other
    "slow_first",  # the first answer of each connection takes 20 ms
    "closes",  # the connection ends after 200 answers
    "late_start",  # nothing is answered in the first 0.7 s after the first GET
)


class Truth:
    """Answers as its behaviour says; arrivals are numbered over all connections."""

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.asked = 0
        self.free_at = 0.0
        self.began = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        try:
            while words := await read_command(reader):
                if words[0].upper() != b"GET":
                    writer.write(preliminary(words[0].upper()))
                    continue
                self.asked += 1
                self.began = self.began or time.monotonic()
                number = self.asked
                await asyncio.sleep(self.delay_s(number, answered))
                if self.behaviour == "refuses" and number % 5 == 0:
                    return
                broken = self.behaviour == "errors" and number % 10 == 0
                writer.write(b"-ERR planted\r\n" if broken else b"$1\r\nx\r\n")
                await writer.drain()
                answered += 1
                if self.behaviour == "closes" and answered == 200:
                    return
        except ConnectionError:
            pass
        finally:
            writer.close()

    def delay_s(self, number: int, answered: int) -> float:
        """How long the answer to this request takes from now on."""
        since = time.monotonic() - self.began
        match self.behaviour:
            case "bimodal":
                return 0.02 if number % 20 == 0 else 0.001
            case "hangs":
                return max(0.4 - since % 1, 0.0) + 0.001
            case "stalls":
                return max(0.15 - since % 1, 0.0) + 0.001
            case "overload":
                self.free_at = max(self.free_at, time.monotonic()) + 0.02
                return self.free_at - time.monotonic()
            case "slow_first":
                return 0.002 if answered else 0.02
            case "late_start":
                return max(0.7 - since, 0.0) + 0.001
            case _:
                return 0.002


def preliminary(command: bytes) -> bytes:
    """The answer to what a client says before the load."""
    if command == b"PING":
        return b"+PONG\r\n"
    return b"$%d\r\n%s\r\n" % (len(INFO), INFO) if command == b"INFO" else b"+OK\r\n"


async def read_command(reader: asyncio.StreamReader) -> list[bytes]:
    """One command; empty at the end of the connection."""
    line = await reader.readline()
    if not line.startswith(b"*"):
        return line.split()
    words = []
    for _ in range(int(line[1:])):
        size = int((await reader.readline())[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


async def main() -> None:
    """Serve until killed."""
    truth = Truth(sys.argv[1])
    server = await asyncio.start_server(truth.serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    assert sys.argv[1] in BEHAVIOURS, f"one of {', '.join(BEHAVIOURS)}"
    asyncio.run(main())
