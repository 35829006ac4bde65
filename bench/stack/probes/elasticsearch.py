"""Ask an Elasticsearch, or an OpenSearch, for the health of its cluster."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bench.stack.probes.connection import ProbeError, probe_error, with_guess
from bench.stack.probes.health import Facts
from bench.stack.probes.http import Answer, http_get, word
from bench.stack.target import State, Target

HEALTH_PATH = "/_cluster/health"
_STATES: dict[str, State] = {"green": "up", "yellow": "up", "red": "down"}
_EXPECTED = "an Elasticsearch server"


@dataclass(frozen=True, kw_only=True)
class ElasticsearchFacts(Facts):
    """What the cluster reports; the uptime is that of the node that answered."""

    status: str
    """green, yellow (copies are missing) or red (data is missing)."""
    node_count: int
    unassigned_shards: int
    cluster: str

    def health(self) -> tuple[State, str]:
        """(state, detail)."""
        missing = f", {self.unassigned_shards} shards unassigned" if self.unassigned_shards else ""
        nodes = f"{self.node_count} node{'s' * (self.node_count != 1)}"
        return _STATES[self.status], f"{self.status}, {nodes}{missing}"


def probe_elasticsearch(target: Target, deadline_s: float = 5.0) -> ElasticsearchFacts:
    """GET /_cluster/health, then who it is. Raises TargetError within `deadline_s`.

    A red cluster answers, so it is no error here: `health` calls it down.
    """
    deadline = time.monotonic() + deadline_s

    def get(path: str) -> Answer:
        return http_get(target, target.path + path, max(deadline - time.monotonic(), 0.001))

    try:
        answer = get(HEALTH_PATH)
    except ProbeError as fact:
        raise probe_error(target, _EXPECTED, with_guess(target, fact)) from None
    reply = answer.json()
    if answer.status in (401, 403):
        advice = "put a user that may monitor the cluster into the URL: elasticsearch://user:password@host"
        raise probe_error(target, "to be let in", f"the answer '{answer}'", advice)
    if answer.status in (408, 503) and reply.get("status") != "red":
        advice = "wait until the cluster has found its master"
        raise probe_error(target, "a cluster that is ready", f"the answer '{answer}'", advice)
    if reply.get("status") not in _STATES:
        found = f"the answer '{answer}' without the status of a cluster"
        raise probe_error(target, f"the health of a cluster for GET {HEALTH_PATH}", found)
    about: Mapping[str, Any] = {}
    uptime_s = None
    with suppress(ProbeError):  # who may ask for the health may not ask for all of this
        about = get("/").json()
        uptime_s = _uptime_s(get("/_nodes/_local/stats/jvm?filter_path=nodes.*.jvm.uptime_in_millis").json())
    version = about.get("version")
    version = version if isinstance(version, dict) else {}
    return ElasticsearchFacts(
        status=reply["status"],
        node_count=_count(reply.get("number_of_nodes")),
        unassigned_shards=_count(reply.get("unassigned_shards")),
        cluster=word(reply.get("cluster_name")),
        server=word(version.get("distribution")) or "elasticsearch",
        version=word(version.get("number")),
        uptime_s=uptime_s,
        answer_ns=answer.answer_ns,
    )


def _uptime_s(reply: Mapping[str, Any]) -> float | None:
    with suppress(AttributeError, TypeError, KeyError):  # an answer of another form says nothing to us
        for node in reply["nodes"].values():
            return float(node["jvm"]["uptime_in_millis"] / 1000)
    return None


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
