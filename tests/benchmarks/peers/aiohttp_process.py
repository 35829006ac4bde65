"""Run by aiohttp_client.py in a process of its own: GETs through aiohttp under uvloop, the result as JSON.

The one argument is a JSON object: url, headers, connections, seconds. It imports nothing of this
project, as an application would not.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from math import ceil
from typing import Any

import aiohttp
import uvloop


async def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Let every task ask until the time is over."""
    url, count = task["url"], task["connections"]
    times: list[int] = []
    clock = time.perf_counter_ns
    # Compressed answers would be another task.
    options = {"headers": task["headers"], "skip_auto_headers": ["Accept-Encoding"]}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=count), **options) as session:
        start, used = clock(), time.process_time()
        end = start + int(task["seconds"] * 1e9)

        async def ask() -> None:
            while clock() < end:
                sent = clock()
                async with session.get(url) as answer:
                    await answer.read()
                times.append(clock() - sent)
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}")

        await asyncio.gather(*(ask() for _ in range(count)))
        seconds, cpu_s = (clock() - start) / 1e9, time.process_time() - used
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
