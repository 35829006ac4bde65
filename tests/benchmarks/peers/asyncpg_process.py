"""Run by asyncpg_client.py in a process of its own: a script through asyncpg, the result as JSON.

The one argument is a JSON object: host, port, user, database, connections, statements, is_transaction,
ranges, seed, seconds; the password is in PGPASSWORD. It imports nothing of this project, as an
application would not.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sys
import time
from math import ceil
from typing import Any

import asyncpg
import uvloop


def numbered(statement: str) -> tuple[str, list[str]]:
    """`{aid}` as $1 and so on, and the names in their order."""
    names = list(dict.fromkeys(re.findall(r"{(\w+)}", statement)))
    for number, name in enumerate(names, start=1):
        statement = statement.replace(f"{{{name}}}", f"${number}")
    return statement, names


async def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Connect and prepare on all, then let every task ask until the time is over."""
    login = {name: task[name] for name in ("host", "port", "user", "database")}
    connections = await asyncio.gather(
        *(asyncpg.connect(**login, ssl=False) for _ in range(task["connections"]))
    )
    statements = [numbered(statement) for statement in task["statements"]]
    ranges = list(task["ranges"].items())
    prepared = [
        [(await connection.prepare(text), names) for text, names in statements] for connection in connections
    ]
    times: list[int] = []
    clock = time.perf_counter_ns
    start, used = clock(), time.process_time()
    end = start + int(task["seconds"] * 1e9)

    async def read(connection: Any, steps: list[Any], draw: random.Random) -> None:
        (statement, _) = steps[0]
        low, high = ranges[0][1]
        while clock() < end:
            number = draw.randint(low, high)
            sent = clock()
            if await statement.fetchval(number) is None:
                raise LookupError("a row was not there")
            times.append(clock() - sent)

    async def transact(connection: Any, steps: list[Any], draw: random.Random) -> None:
        while clock() < end:
            drawn = {name: draw.randint(low, high) for name, (low, high) in ranges}
            sent = clock()
            async with connection.transaction():
                for statement, names in steps:
                    await statement.fetchval(*[drawn[name] for name in names])
            times.append(clock() - sent)

    ask = transact if task["is_transaction"] else read
    draws = [random.Random(task["seed"] + number) for number in range(len(connections))]
    await asyncio.gather(*map(ask, connections, prepared, draws))
    seconds, cpu_s = (clock() - start) / 1e9, time.process_time() - used
    await asyncio.gather(*(connection.close() for connection in connections))
    times.sort()
    return {
        "requests": len(times),
        "seconds": seconds,
        "mean_ns": sum(times) / len(times),
        "p50_ns": times[ceil(len(times) * 0.5) - 1],
        "p99_ns": times[ceil(len(times) * 0.99) - 1],
        "cpu_s": cpu_s,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(measure(json.loads(sys.argv[1])))))  # noqa: T201 - its result goes to stdout
