"""The health of targets: whether each is up, since when, and how fast it answers."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.registry import KINDS, load
from bench.stack.target import State, Target

DEADLINE_S = 5.0
AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What every probe finds out, among more of its own. Empty or None: the service does not report it."""

    server: str = ""
    """What it is, in its own words."""
    version: str = ""
    uptime_s: float | None = None
    answer_ns: int = 0
    """From the probe's question to its answer."""

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", ""


@dataclass(frozen=True)
class ServiceHealth:
    """How a target is; its fields are the keys of `bench stack status --json`."""

    name: str
    kind: str
    address: str
    state: State
    detail: str
    """What it reports, or the error's sentence when it is down."""
    version: str | None = None
    uptime_s: float | None = None
    latency_ns: int = 0
    """Of one question, or the time until it was given up."""


def ask(target: Target, deadline_s: float = DEADLINE_S) -> Facts:
    """Ask a target of any kind, as its kind is asked. Raises TargetError within `deadline_s`."""
    facts: Facts = load(KINDS[target.kind].probe)(target, deadline_s)
    return facts


def probe(target: Target, deadline_s: float = DEADLINE_S) -> ServiceHealth:
    """How a target is; one that is down is no error here, but the answer."""
    begin = monotonic_ns()
    try:
        facts = ask(target, deadline_s)
    except TargetError as error:
        # What follows "target redis at host:port: " there: the table has a column for that.
        detail = str(error).removeprefix(f"target {target.name} at {target.address}: ")
        elapsed_ns = monotonic_ns() - begin
        return ServiceHealth(target.name, target.kind, target.address, "down", detail, latency_ns=elapsed_ns)
    state, detail = facts.health()
    return ServiceHealth(
        target.name,
        target.kind,
        target.address,
        state,
        detail,
        facts.version or None,
        facts.uptime_s,
        facts.answer_ns,
    )


def health_of(targets: Iterable[Target], deadline_s: float = DEADLINE_S) -> list[ServiceHealth]:
    """How the targets are, in their order, all asked at once."""
    asked = list(targets)
    if not asked:
        return []
    with ThreadPoolExecutor(min(len(asked), AT_ONCE)) as threads:
        return list(threads.map(lambda target: probe(target, deadline_s), asked))
