"""HTTP/1.1 requests as templates (RFC 9112): request line, headers, body with its length."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from bench.drivers.http.body import write_json, write_json_text
from bench.drivers.writer import TemplateWriter, Vocabulary
from bench.engine.wire.layout import NATURAL
from bench.scenario.validators.http import declares_json

if TYPE_CHECKING:
    from bench.scenario.requests import Request
    from bench.stack.target import Target

_DEFAULT_PORTS = {False: 80, True: 443}
WITH_LENGTH = ("POST", "PUT", "PATCH")
"""Methods whose requests say how long their body is, even where there is none."""


def headers_of(request: Request, common: dict[str, str], target: Target | None) -> dict[str, str]:
    """All headers of a request but its length; the request's own before the workload's before ours."""
    headers = {"Host": host_of(target), "User-Agent": "holdfast", "Accept": "*/*"}
    if target is not None and target.username is not None:
        login = f"{target.username}:{target.password or ''}".encode()
        headers["Authorization"] = f"Basic {b64encode(login).decode()}"
    if request.json_body is not None:
        headers["Content-Type"] = "application/json"
    elif request.body is not None:
        headers["Content-Type"] = "text/plain; charset=utf-8"
    for name, text in [*common.items(), *request.headers.items()]:
        for known in [known for known in headers if known.lower() == name.lower()]:
            del headers[known]
        headers[name] = text
    return headers


def host_of(target: Target | None) -> str:
    """The Host header's value; without a target, as a plan is printed, a name that is none."""
    if target is None:
        return "target"
    return target.address if target.port != _DEFAULT_PORTS[target.tls] else target.address.rpartition(":")[0]


def body_of(request: Request, vocabulary: Vocabulary) -> TemplateWriter | None:
    """The body as a template, None where there is none."""
    if request.json_body is None and request.body is None:
        return None
    writer = TemplateWriter(vocabulary)
    if isinstance(request.json_body, str):
        write_json_text(writer, request.json_body)
    elif request.json_body is not None:
        write_json(writer, request.json_body)
    elif declares_json(request.headers, vocabulary.workload.headers):
        write_json_text(writer, request.body or "")
    else:
        writer.text(request.body or "")
    return writer


def write_request(
    request: Request, common: dict[str, str], target: Target | None, vocabulary: Vocabulary
) -> TemplateWriter:
    """The whole request. Numbers in path and headers are as long as they are; those in the body are
    padded, because its length stands in the head.
    """
    body = body_of(request, vocabulary)
    writer = TemplateWriter(vocabulary)
    writer.literal(request.method.encode() + b" " + (target.path if target else "").encode())
    writer.text(request.path, NATURAL)
    writer.literal(b" HTTP/1.1\r\n")
    for name, text in headers_of(request, common, target).items():
        writer.literal(name.encode() + b": ")
        writer.text(text, NATURAL)
        writer.literal(b"\r\n")
    if body is not None or request.method in WITH_LENGTH:
        writer.literal(b"Content-Length: %d\r\n" % (len(body.content) if body else 0))
    writer.literal(b"\r\n")
    if body is not None:
        writer.include(body)
    return writer
