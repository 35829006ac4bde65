"""The API's circuit breakers, as its health page tells them."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from chaos.detectors.observation import Observation
from chaos.detectors.polling_detector import PollingDetector

if TYPE_CHECKING:
    from bench.stack.target import Target

BREAKER = "breaker"
EVERY_NS = 100_000_000
DEADLINE_S = 1.5
CLOSED, OPEN = "closed", "open"


class Breaker(PollingDetector):
    """Reads /health; a breaker that opens is a detection of what is behind it."""

    detector = BREAKER

    def __init__(self, api: Target) -> None:
        super().__init__(BREAKER, EVERY_NS)
        self._api = api
        self._states: dict[str, str] = {}

    def look(self) -> None:
        """Note every breaker that is open now and was not, or is closed again. Half open is still open."""
        components = self._components()
        at_ns = monotonic_ns()
        for name, component in components.items():
            state = str(component.get("breaker", "")) if isinstance(component, dict) else ""
            before = self._states.get(name, CLOSED)
            if state == OPEN and before == CLOSED:
                self._states[name] = OPEN
                self.observations.append(
                    Observation(
                        BREAKER, name, at_ns, is_down=True, detail=f"the API's breaker for {name} is open"
                    )
                )
            elif state == CLOSED and before == OPEN:
                self._states[name] = CLOSED
                self.observations.append(
                    Observation(
                        BREAKER, name, at_ns, is_down=False, detail=f"the API's breaker for {name} is closed"
                    )
                )

    def _components(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self._api.host, self._api.port, timeout=DEADLINE_S)
        try:
            connection.request("GET", f"{self._api.path}/health")
            found = json.loads(connection.getresponse().read())
            components = found.get("components", {}) if isinstance(found, dict) else {}
            return components if isinstance(components, dict) else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}  # the API itself is away: that is for other detectors to say
        finally:
            connection.close()


def open_time_ns(observations: list[Observation], end_ns: int) -> int:
    """How long breakers were open in all."""
    total, since = 0, {}
    for one in observations:
        if one.is_down:
            since[one.target] = one.at_ns
        elif one.target in since:
            total += one.at_ns - since.pop(one.target)
    return total + sum(end_ns - at_ns for at_ns in since.values())
