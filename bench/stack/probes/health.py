"""The health of targets: whether each is up, since when, and how fast it answers."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.registry import KINDS, load
from bench.stack.target import State, Target

DEADLINE_S = 5.0
AT_ONCE = 16
AGAIN_S = 0.2
"""Until a target that was not ready is asked again."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What every probe finds out, among other things. Empty or None: the service does not report it."""

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


@dataclass(frozen=True)
class Patience:
    """How a target is treated that is not ready yet."""

    wait_s: float = 30.0
    """The longest that it is waited for, from its first answer on."""
    for_absent: bool = False
    """Whether also where nothing answers, and not only where a server says that it is starting."""
    say: Callable[[str], None] = lambda _: None
    """Is given a line about each target that is waited for."""


def ask_when_ready(
    target: Target,
    patience: Patience,
    deadline_s: float = DEADLINE_S,
    ask: Callable[[Target, float], Facts] = ask,
) -> Facts:
    """Ask a target, again until it is ready. Raises TargetError for what does not pass, or not in time."""
    until: float | None = None
    while True:
        try:
            return ask(target, deadline_s)
        except TargetError as error:
            helps = error.passes == "starting" or (error.passes == "absent" and patience.for_absent)
            if not helps or (until is not None and time.monotonic() >= until):
                raise
            if until is None:
                until = time.monotonic() + patience.wait_s
                wait = f"{patience.wait_s:g} s"
                patience.say(f"waiting up to {wait} for {target.name} at {target.address}: {error.found}")
            time.sleep(AGAIN_S)


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
    """How the targets are, in their order, all asked at the same time."""
    asked = list(targets)
    if not asked:
        return []
    with ThreadPoolExecutor(min(len(asked), AT_ONCE)) as threads:
        return list(threads.map(lambda target: probe(target, deadline_s), asked))
