"""The user's own Prometheus, asked by its HTTP API: what a query says now, and since when an alert fires."""

from __future__ import annotations

import base64
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError

DEADLINE_S = 2.0
LONGEST_ANSWER = 1 << 20
LOOK_BACK_S = 300
"""How far back the first moment of an alert is looked for."""
ADVICE = "check the url under prometheus:, and that it listens there"


class QueryError(Exception):
    """A query had no usable answer; says why, without the address."""


@dataclass(frozen=True)
class Answer:
    """Samples of an instant query: (time of Prometheus in s, value) of each series."""

    kind: str
    series: tuple[tuple[tuple[float, float], ...], ...]


class Prometheus:
    """One Prometheus. Every method raises QueryError."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.address = parts.netloc.rpartition("@")[2]
        self._base = urllib.parse.urlunsplit((parts.scheme, self.address, parts.path.rstrip("/"), "", ""))
        self._headers: dict[str, str] = {}
        if parts.username is not None:
            user, password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
            told = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {told}"
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def value(self, query: str) -> float | None:
        """What a query says now; None for nothing. One series at most, or the query must aggregate."""
        found = self._ask(query)
        if len(found.series) > 1:
            raise QueryError(
                f"expected one value, found {len(found.series)} series; aggregate with sum or max"
            )
        value = found.series[0][-1][1] if found.series and found.series[0] else math.nan
        return None if math.isnan(value) else value

    def fires(self, alert: str) -> bool:
        """Whether any alert of that name fires now."""
        return bool(self._ask(_firing(alert)).series)

    def fired_ns(self, alert: str, after_ns: int) -> int:
        """When one that fires now began to, on CLOCK_MONOTONIC, not before `after_ns`: by the times of its
        evaluations and Prometheus's own clock, to half of the time that it takes to answer.
        """
        begin_ns = monotonic_ns()
        now_s = self.value("time()") or 0.0
        end_ns = monotonic_ns()
        middle_ns = (begin_ns + end_ns) // 2
        samples = self._ask(f"{_firing(alert)}[{LOOK_BACK_S}s]").series
        stamps = [middle_ns - round((now_s - at_s) * NS_PER_S) for one in samples for at_s, _ in one]
        return min([at_ns for at_ns in stamps if at_ns >= after_ns], default=end_ns)

    def require(self) -> None:
        """Raise TargetError where it does not answer."""
        try:
            self.value("1")
        except QueryError as error:
            expected = "a Prometheus that answers queries"
            raise TargetError("prometheus", self.address, expected, str(error), ADVICE) from None

    def _ask(self, query: str) -> Answer:
        body = urllib.parse.urlencode({"query": query}).encode()
        request = urllib.request.Request(f"{self._base}/api/v1/query", body, self._headers)  # noqa: S310 - http(s) by the model
        try:
            with self._open(request, timeout=DEADLINE_S) as reply:
                found = json.loads(reply.read(LONGEST_ANSWER))
        except urllib.error.HTTPError as error:
            raise QueryError(_said(error)) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise QueryError(str(reason) or type(error).__name__) from None
        return _answer(found)


def _firing(alert: str) -> str:
    return f'ALERTS{{alertname={json.dumps(alert)},alertstate="firing"}}'


def _said(error: urllib.error.HTTPError) -> str:
    try:
        said = json.loads(error.read(LONGEST_ANSWER)).get("error")
    except (OSError, ValueError, AttributeError):
        said = None
    return str(said) if said else f"HTTP {error.code}"


def _answer(found: Any) -> Answer:
    try:
        data: Mapping[str, Any] = found["data"]
        kind, result = str(data["resultType"]), data["result"]
        if kind in ("scalar", "string"):
            return Answer(kind, (((float(result[0]), float(result[1])),),))
        samples = [one["values"] if kind == "matrix" else [one["value"]] for one in result]
        return Answer(kind, tuple(tuple((float(at), float(value)) for at, value in one) for one in samples))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise QueryError(f"no answer of Prometheus's API: {type(error).__name__}") from None
