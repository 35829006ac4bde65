"""Ask a reverse proxy for its ping page: 200 and nothing else counts."""

from dataclasses import dataclass

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.error import probe_error, told
from bench.stack.probes.http_get import http_get, word
from bench.stack.target import State, Target

BODY_LOOKED_AT_BYTES = 200


@dataclass(frozen=True)
class ProxyFacts:
    """A proxy that answered its ping."""

    server: str
    """The Server header, empty where there is none."""
    body: str
    """The beginning of the answer's text."""
    answer_ns: int
    version: str = ""
    uptime_s: float | None = None

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        return "up", f"says {self.body}" if self.body else "an empty page"


def probe_proxy(target: Target, deadline_s: float = 5.0) -> ProxyFacts:
    """GET the path of the URL. Raises TargetError within `deadline_s`."""
    path = target.path or "/"
    try:
        answer = http_get(target, path, deadline_s)
    except ProbeError as fact:
        raise probe_error(target, "a reverse proxy", told(target, fact)) from None
    if answer.status != 200:
        advice = f"switch the proxy's ping page on at {path}, or name its path in the URL"
        raise probe_error(target, f"200 for GET {path}", f"the answer '{answer}'", advice)
    text = answer.body[:BODY_LOOKED_AT_BYTES].decode(errors="replace")
    return ProxyFacts(answer.server, word(" ".join(text.split())), answer.answer_ns)
