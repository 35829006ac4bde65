"""Run by redis_py.py in a process of its own: GETs through redis-py under uvloop, the result as JSON.

The one argument is a JSON object: host, port, connections, prefix, key_count, seed, seconds. It
imports nothing of this project, as an application would not.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from math import ceil
from typing import Any

import redis.asyncio
import uvloop


async def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Connect all, then let every task ask until the time is over."""
    prefix, count = task["prefix"], task["key_count"]
    width = len(str(count - 1))
    # A connection per task without the pool between them: some 10 % faster than a shared pool.
    clients = [
        redis.asyncio.Redis(host=task["host"], port=task["port"], single_connection_client=True)
        for _ in range(task["connections"])
    ]
    await asyncio.gather(*(client.ping() for client in clients))
    times: list[int] = []
    clock = time.perf_counter_ns
    start, used = clock(), time.process_time()
    end = start + int(task["seconds"] * 1e9)

    async def ask(client: redis.asyncio.Redis, draw: random.Random) -> None:
        while clock() < end:
            name = f"{prefix}{draw.randrange(count):0{width}d}"
            sent = clock()
            if await client.get(name) is None:
                raise LookupError("a key was not there")
            times.append(clock() - sent)

    draws = [random.Random(task["seed"] + number) for number in range(len(clients))]
    await asyncio.gather(*(ask(client, draw) for client, draw in zip(clients, draws, strict=True)))
    seconds, cpu_s = (clock() - start) / 1e9, time.process_time() - used
    await asyncio.gather(*(client.aclose() for client in clients))
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
