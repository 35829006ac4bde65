"""GET of one path over kept-alive connections, the same bytes from every contestant that lets us say them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.scenario.model import Scenario

if TYPE_CHECKING:
    from bench.stack.target import Target

HEADERS = {"User-Agent": "peers", "Accept": "*/*"}
"""Beside Host. hey puts its own name behind this one."""


@dataclass(frozen=True)
class HttpTask:
    """GET `path` over `connections`, closed loop; hey cannot vary a path, so nobody does."""

    target: Target
    path: str
    connections: int = 50
    seed: int = 1

    @property
    def url(self) -> str:
        """What is asked for."""
        return self.target.url + self.path

    def scenario(self, seconds: float) -> Scenario:
        """The task as a scenario of ours."""
        return Scenario.model_validate(
            {
                "scenario": "peers_http",
                "purpose": "HTTP GET, closed loop, side by side with other tools",
                "seed": self.seed,
                "workloads": [
                    {
                        "name": "get",
                        "target": "api",
                        "driver": "http",
                        "lanes": self.connections,
                        "headers": HEADERS,
                        "operations": {"get": {"request": {"path": self.path, "expect": {"status": 200}}}},
                        "arrivals": "closed",
                    }
                ],
                "phases": [{"name": "turn", "for": f"{seconds:.3f}s"}],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """For the record: the task, not the place."""
        return {"method": "GET", "path": self.path, "headers": HEADERS, "connections": self.connections}
