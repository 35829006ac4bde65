"""Ask a service over HTTP how it is: any answer below 500 counts as up."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.error import probe_error, told
from bench.stack.probes.http_get import Answer, http_get, word
from bench.stack.target import State, Target

HEALTH_PATH = "/health"
_WELL = frozenset(
    ("ok", "up", "pass", "passed", "healthy", "green", "available", "ready", "connected", "true")
)
_STATE_KEYS = ("status", "state")
_COMPONENT_KEYS = ("components", "checks", "dependencies")


@dataclass(frozen=True)
class HttpFacts:
    """What an HTTP service says about itself. Empty or None: it did not say."""

    status: int
    path: str
    """The path that was asked, after the host."""
    server: str
    """The Server header."""
    version: str
    state: str
    """In its own words: ok, degraded..."""
    components: Mapping[str, str]
    """Its parts -> their states, in its own words."""
    uptime_s: float | None
    answer_ns: int

    def health(self) -> tuple[State, str]:
        """(state, detail): degraded where it, or one of its components, says something else than well."""
        away = [f"{name} {state}" for name, state in self.components.items() if not _is_well(state)]
        if self.state and not _is_well(self.state):
            return "degraded", ", ".join([f"says {self.state}", *away])
        return ("degraded", ", ".join(away)) if away else ("up", f"{self.status} for {self.path}")


def probe_http(target: Target, deadline_s: float = 5.0) -> HttpFacts:
    """GET the base path and /health; where there is no such page, the base path itself.

    Raises TargetError within `deadline_s`: for an answer of 500 and above too.
    """
    deadline = time.monotonic() + deadline_s
    path = target.path + HEALTH_PATH
    try:
        answer = http_get(target, path, deadline_s)
        if answer.status == 404:
            path = target.path or "/"
            answer = http_get(target, path, max(deadline - time.monotonic(), 0.001))
    except ProbeError as fact:
        raise probe_error(target, "an HTTP server", told(target, fact)) from None
    said = answer.json()
    if answer.status >= 500:
        raise _refusal(target, path, answer, said)
    uptime = said.get("uptime_s")
    return HttpFacts(
        status=answer.status,
        path=path,
        server=answer.server,
        version=word(said.get("version")),
        state=next((word(said[key]) for key in _STATE_KEYS if key in said), ""),
        components=_components(said),
        uptime_s=float(uptime) if isinstance(uptime, int | float) else None,
        answer_ns=answer.answer_ns,
    )


def _refusal(target: Target, path: str, answer: Answer, said: Mapping[str, Any]) -> Exception:
    away = [f"{name} {state}" for name, state in _components(said).items() if not _is_well(state)]
    found = f"the answer '{answer}'" + (f" with {', '.join(away)}" if away else "")
    advice = None
    if answer.status == 503:
        advice = "wait until it has started, or see to what it misses"
    return probe_error(target, f"an answer below 500 for GET {path}", found, advice)


def _components(said: Mapping[str, Any]) -> dict[str, str]:
    for key in _COMPONENT_KEYS:
        parts = said.get(key)
        if isinstance(parts, dict):
            return {word(name): _state(part) for name, part in parts.items() if _state(part)}
    return {}


def _state(part: Any) -> str:
    if isinstance(part, dict):
        return next((word(part[key]) for key in _STATE_KEYS if key in part), "")
    return word(part)


def _is_well(state: str) -> bool:
    return state.lower() in _WELL
