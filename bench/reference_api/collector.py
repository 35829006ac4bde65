"""The collector of garbage: how long it has stopped everything, and a heap that makes it stop for long."""

import asyncio
import gc
import random
import time


class CollectorPauses:
    """How often, and for how long, the collector has stopped everything, by generation."""

    def __init__(self) -> None:
        self.counts = [0, 0, 0]
        self.seconds = [0.0, 0.0, 0.0]
        self._begun_s = 0.0

    def watch(self) -> None:
        """From now on."""
        gc.callbacks.append(self._enter)

    def _enter(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun_s = time.monotonic()
            return
        self.counts[info["generation"]] += 1
        self.seconds[info["generation"]] += time.monotonic() - self._begun_s


async def collect_often(objects: int, every_s: float) -> None:
    """Keep so many objects, and look through them now and then, until cancelled.

    The times between are random with mean `every_s`: what comes at a steady beat fits many things by chance.
    """
    heap = [[number] for number in range(objects)]
    while heap:
        await asyncio.sleep(random.expovariate(1 / every_s))
        gc.collect()
