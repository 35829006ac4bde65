"""A key/value server in memory: SET, GET and PING over TCP, in the form of RESP. Run as `kv_server.py PORT`.

STALL makes it answer nobody for so many milliseconds; STALLS reports how often that was done.
"""

import asyncio
import sys

STALLED_ANSWERS = ("STALL", "STALLS")
"""Commands that are answered at once, stalled or not."""


class Server:
    """The values, and until when nobody gets an answer."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._stalled_until = 0.0
        self._stalls = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it is closed."""
        try:
            while head := await reader.readline():
                words = [await self._word(reader) for _ in range(int(head[1:]))]
                command = words[0].decode().upper()
                if command not in STALLED_ANSWERS:
                    await asyncio.sleep(self._stalled_until - asyncio.get_running_loop().time())
                writer.write(self._answer(command, words[1:]))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _word(self, reader: asyncio.StreamReader) -> bytes:
        size = int((await reader.readline())[1:])
        return (await reader.readexactly(size + 2))[:size]

    def _answer(self, command: str, words: list[bytes]) -> bytes:
        match command, words:
            case "PING", []:
                return b"+PONG\r\n"
            case "SET", [key, value]:
                self._values[key] = value
                return b"+OK\r\n"
            case "GET", [key]:
                if key not in self._values:
                    return b"$-1\r\n"
                return b"$%d\r\n%s\r\n" % (len(self._values[key]), self._values[key])
            case "STALL", [milliseconds]:
                self._stalls += 1
                self._stalled_until = asyncio.get_running_loop().time() + int(milliseconds) / 1000
                return b"+OK\r\n"
            case "STALLS", []:
                return b":%d\r\n" % self._stalls
        return b"-ERR unknown command\r\n"


async def main(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(Server().serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
