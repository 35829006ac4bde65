"""The subjects, in the order in which they are run. A new one is one line here."""

from __future__ import annotations

from tests.benchmarks.peers import http_api, http_static, postgres_select, postgres_tpcb, redis_get

SUBJECTS = {
    kind.name: kind
    for kind in (redis_get.KIND, postgres_select.KIND, postgres_tpcb.KIND, http_static.KIND, http_api.KIND)
}
CONTESTANTS = tuple(dict.fromkeys(name for kind in SUBJECTS.values() for name in kind.contestants))
"""The names of everyone in any subject."""
