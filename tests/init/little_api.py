"""An API of a few pages that documents itself, and counts what it is asked."""

from __future__ import annotations

import json
from typing import Any

from tests.helpers.http_server import Answerer, LittleHttp

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Little notes"},
    "paths": {
        "/about": {"get": {}},
        "/login": {"post": {}},
        "/notes": {"get": {"security": [{"bearer": []}]}, "post": {}},
        "/notes/{noteId}": {
            "parameters": [{"name": "noteId", "in": "path", "required": True}],
            "get": {},
            "delete": {},
        },
        "/private": {"get": {}},
        "/search": {"get": {"parameters": [{"name": "q", "in": "query", "required": True}]}},
        "/tags": {"get": {"parameters": [{"name": "limit", "in": "query"}]}},
    },
}
STATUSES = {"/about": 200, "/tags": 200, "/private": 401}


class LittleApi(LittleHttp):
    """Serves the pages of the document; anything else is not found."""

    def __init__(self, document: bytes | None = None, statuses: dict[str, int] = STATUSES) -> None:
        self.asked: list[str] = []
        self._document = json.dumps(DOCUMENT).encode() if document is None else document
        self._statuses = statuses
        super().__init__(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _answer(self, answerer: Answerer) -> None:
        for request in answerer.requests():
            self.asked.append(f"{request.method} {request.path}")
            status, body = self._statuses.get(request.path, 404), b"{}"
            if request.path == "/openapi.json" and self._document:
                status, body = 200, self._document
            answerer.send(f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
