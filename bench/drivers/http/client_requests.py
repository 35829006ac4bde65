"""The requests of a workload in the pieces that an HTTP library takes: method, URL, headers, body.

Each piece is a template of the wire engine's own, so that a client sends what the wire engine sends. A
body is as long there as here: its numbers are padded.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarl import URL

from bench.drivers.http.requests import body_of, headers_of
from bench.drivers.request_templates import Words
from bench.drivers.writer import TemplateWriter
from bench.engine.wire.layout import NATURAL

if TYPE_CHECKING:
    from bench.drivers.request_templates import Draws
    from bench.drivers.writer import Vocabulary
    from bench.engine.client.request import PendingRequest
    from bench.scenario.model import Workload
    from bench.scenario.requests import Request
    from bench.stack.target import Target

LARGE_BODY_BYTES = 1 << 20
"""aiohttp wants a longer one as a file, which it sends in pieces."""


@dataclass(frozen=True)
class PlannedRequest:
    """One operation's request, and what its answer must be."""

    method: str
    url: Words
    headers: dict[str, Words]
    body: Words | None
    statuses: frozenset[int]
    contains: bytes
    fixed_url: URL | None
    """Where every arrival has the same."""

    def url_for(self, ticket: PendingRequest) -> URL:
        """As it stands in the scenario: nothing is encoded once more."""
        if self.fixed_url is not None:
            return self.fixed_url
        return URL(self.url.render(ticket).decode(), encoded=True)

    def headers_for(self, ticket: PendingRequest) -> dict[str, str]:
        """All but the body's length, which the library counts."""
        return {name: words.render(ticket).decode() for name, words in self.headers.items()}

    def body_for(self, ticket: PendingRequest) -> bytes | io.BytesIO | None:
        """The body; None where there is none."""
        if self.body is None:
            return None
        content = self.body.render(ticket)
        return io.BytesIO(content) if len(content) > LARGE_BODY_BYTES else content


def requests_of(
    workload: Workload, target: Target, vocabulary: Vocabulary, draws: Draws
) -> list[PlannedRequest]:
    """The request of each operation, in order."""
    requests = []
    for operation in workload.operations.values():
        assert operation.request is not None
        requests.append(_planned(operation.request, workload.headers, target, vocabulary, draws))
    return requests


def _planned(
    request: Request, common: dict[str, str], target: Target, vocabulary: Vocabulary, draws: Draws
) -> PlannedRequest:
    def words(text: str, before: str = "") -> Words:
        writer = TemplateWriter(vocabulary)
        writer.literal(before.encode())
        writer.text(text, NATURAL)
        return Words(writer, draws)

    url = words(request.path, target.url)
    body = body_of(request, vocabulary)
    return PlannedRequest(
        request.method,
        url,
        {name: words(text) for name, text in headers_of(request, common, target).items()},
        Words(body, draws) if body is not None else None,
        frozenset(request.expect.status),
        (request.expect.contains or "").encode(),
        URL(url.constant.decode(), encoded=True) if url.constant is not None else None,
    )
