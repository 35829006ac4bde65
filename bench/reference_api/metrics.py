"""What `/metrics` says, in the Prometheus text format, and how long the collector of garbage stopped us."""

import asyncio
import gc
import random
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator

from bench.reference_api.resilience import Bulkhead, ComponentBreaker


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


BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PREFIX = "holdfast_api_"
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts requests and cache reads. Labels are the API's own words, so their number is bounded."""

    def __init__(self) -> None:
        self.started_s = time.monotonic()
        self.cache_reads = {"hit": 0, "miss": 0, "stale": 0, "bypass": 0}
        self.in_flight = 0
        self.pauses = CollectorPauses()
        self._requests: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._sums_s: dict[str, float] = {}

    @property
    def uptime_s(self) -> float:
        """Since the start of the process."""
        return time.monotonic() - self.started_s

    def count(self, method: str, route: str, status: int, duration_s: float) -> None:
        """Enter one request that has ended."""
        key = (method if method in METHODS else "other", route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        buckets = self._buckets.get(route)
        if buckets is None:
            buckets = self._buckets[route] = [0] * (len(BOUNDS_S) + 1)
            self._sums_s[route] = 0.0
        buckets[bisect_left(BOUNDS_S, duration_s)] += 1
        self._sums_s[route] += duration_s

    def render(self, breakers: Iterable[ComponentBreaker], pools: Iterable[Bulkhead], unsettled: int) -> str:
        """All of it as text."""
        return "".join(self._families(list(breakers), list(pools), unsettled))

    def _families(
        self, breakers: list[ComponentBreaker], pools: list[Bulkhead], unsettled: int
    ) -> Iterator[str]:
        requests = [
            ((("method", method), ("route", route), ("status", str(status))), count)
            for (method, route, status), count in sorted(self._requests.items())
        ]
        reads = [((("result", result),), count) for result, count in self.cache_reads.items()]
        states = [
            (_of(breaker, state=state), int(breaker.state == state))
            for breaker in breakers
            for state in ("closed", "open", "half_open")
        ]
        changes = [(_of(each, to=to), count) for each in breakers for to, count in each.transitions.items()]
        open_s = [(_of(breaker), breaker.open_s) for breaker in breakers]
        waiting = [(_of(pool), pool.waiting) for pool in pools]
        yield _family("requests_total", "counter", "Requests that have ended.", requests)
        yield from self._durations()
        yield _family("requests_in_flight", "gauge", "Requests being answered.", [((), self.in_flight)])
        yield _family(
            "cache_reads_total", "counter", "Reads of one item, by where the answer came from.", reads
        )
        yield _family(
            "cache_unsettled_items", "gauge", "Written while Redis could not be told.", [((), unsettled)]
        )
        yield _family("breaker_state", "gauge", "1 for the state that the circuit is in.", states)
        yield _family(
            "breaker_transitions_total", "counter", "How often the circuit went into a state.", changes
        )
        yield _family("breaker_open_seconds_total", "counter", "How long the circuit was not closed.", open_s)
        yield _family(
            "pool_size", "gauge", "Connections at most.", [(_of(pool), pool.size) for pool in pools]
        )
        yield _family(
            "pool_in_use", "gauge", "Connections in use.", [(_of(pool), pool.in_use) for pool in pools]
        )
        yield _family("pool_waiting", "gauge", "Requests that wait for a connection.", waiting)
        yield _family(
            "gc_pauses_total",
            "counter",
            "Runs of the collector of garbage.",
            [((("generation", str(number)),), count) for number, count in enumerate(self.pauses.counts)],
        )
        yield _family(
            "gc_pause_seconds_total",
            "counter",
            "How long they stopped everything.",
            [((("generation", str(number)),), took_s) for number, took_s in enumerate(self.pauses.seconds)],
        )
        yield _family("uptime_seconds", "gauge", "Since the start.", [((), self.uptime_s)])

    def _durations(self) -> Iterator[str]:
        name = f"{PREFIX}request_duration_seconds"
        yield f"# HELP {name} From the request's head to the answer's end.\n# TYPE {name} histogram\n"
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), buckets, strict=True):
                total += count
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {total}\n'
            yield f'{name}_sum{{route="{route}"}} {self._sums_s[route]}\n'
            yield f'{name}_count{{route="{route}"}} {total}\n'


def _of(component: ComponentBreaker | Bulkhead, **labels: str) -> Labels:
    return (("component", component.component), *labels.items())


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> str:
    lines = [f"# HELP {PREFIX}{name} {meaning}", f"# TYPE {PREFIX}{name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{text}"' for key, text in labels)
        lines.append(f"{PREFIX}{name}{f'{{{inside}}}' if inside else ''} {value}")
    return "\n".join(lines) + "\n"
