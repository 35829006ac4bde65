"""HTTP/1.1 (RFC 9112) over plain sockets: requests as templates, one at a time on each kept-alive
connection.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

from bench.core.errors import StatementRefused
from bench.core.sanitize import redacted
from bench.drivers.templates import TemplateWriter, Vocabulary, as_json, in_path, variables_of, within_json
from bench.engine.api import STEP_S, LaneLogIn, LoggedIn, PlacedStep
from bench.engine.wire.dialler import Dialler, Stream
from bench.engine.wire.layout import NATURAL, SPACE_PADDED, ZERO_PADDED
from bench.plan.plan import WorkloadPlan
from bench.plan.program import Program, Step, Template, Want
from bench.protocols.wants.state import BETWEEN, FALSE, HEADER, JSON, NULL, NUMBER, TEXT, TRUE
from bench.registry import LOGIN, step_name
from bench.scenario.operations import Capture, Request, RequestStep, path_steps
from bench.scenario.problems import Path
from bench.scenario.templates import RUN, VALUE, names_in, pieces_of
from bench.scenario.workloads import Workload
from bench.stack.probes.connection import dialled, hang_up
from bench.stack.target import Target


def write_json(writer: TemplateWriter, value: Any) -> None:
    """Write a JSON value. A text that is one placeholder becomes a number, unless that is text; JSON knows
    no leading zeros, so the number is padded with spaces, which JSON ignores. Inside a longer text it is
    padded with zeros.
    """
    match value:
        case dict():
            for count, (key, item) in enumerate(value.items()):
                writer.literal(b"," if count else b"{")
                writer.text(json.dumps(key), ZERO_PADDED, within_json)
                writer.literal(b":")
                write_json(writer, item)
            writer.literal(b"}" if value else b"{}")
        case list() | tuple():
            for count, item in enumerate(value):
                writer.literal(b"," if count else b"[")
                write_json(writer, item)
            writer.literal(b"]" if value else b"[]")
        case str():
            pieces = pieces_of(value)
            is_whole = len(pieces) == 1 and pieces[0].is_placeholder
            if is_whole and (writer.is_number(pieces[0].text) or writer.is_captured(pieces[0].text)):
                writer.placeholder(pieces[0].text, SPACE_PADDED, as_json)
            else:
                writer.text(json.dumps(value), ZERO_PADDED, within_json)
        case _:
            writer.literal(json.dumps(value).encode())


def write_json_text(writer: TemplateWriter, text: str) -> None:
    """Write JSON that the scenario has as text: a placeholder outside strings is a number, or a string."""
    is_inside = is_escaped = False
    for piece in pieces_of(text):
        if piece.is_placeholder and not is_inside and writer.is_captured(piece.text):
            writer.placeholder(piece.text, encode=as_json)
            continue
        if piece.is_placeholder:
            quotes = b"" if is_inside or writer.is_number(piece.text) or piece.text == VALUE else b'"'
            writer.literal(quotes)
            writer.placeholder(piece.text, ZERO_PADDED if is_inside else SPACE_PADDED, within_json)
            writer.literal(quotes)
            continue
        for character in piece.text:
            if is_escaped:
                is_escaped = False
            elif character == "\\" and is_inside:
                is_escaped = True
            elif character == '"':
                is_inside = not is_inside
        writer.literal(piece.text.encode())


_DEFAULT_PORTS = {False: 80, True: 443}
STEP_BODY_BYTES, STEP_SAID_BYTES = 1 << 20, 120
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
    """The Host header's value; without a target, as a plan is printed, a stand-in."""
    if target is None:
        return "target"
    return (
        target.address
        if target.port != _DEFAULT_PORTS[bool(target.tls)]
        else target.address.rpartition(":")[0]
    )


def body_of(request: Request, vocabulary: Vocabulary) -> TemplateWriter | None:
    """The body as a template, None where there is none."""
    if request.json_body is None and request.body is None:
        return None
    writer = TemplateWriter(vocabulary)
    if isinstance(request.json_body, str):
        write_json_text(writer, request.json_body)
    elif request.json_body is not None:
        write_json(writer, request.json_body)
    elif request.declares_json(vocabulary.workload.headers):
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
    writer.text(request.path, NATURAL, in_path)
    writer.literal(b" HTTP/1.1\r\n")
    for name, text in headers_of(request, common, target).items():
        writer.literal(name.encode() + b": ")
        writer.text(text, NATURAL)
        writer.literal(b"\r\n")
    if body is not None or request.method in WITH_LENGTH:
        writer.literal(b"Content-Length: ")
        if body is not None:
            writer.size_of(body)
        writer.literal(b"\r\n" if body is not None else b"0\r\n")
    writer.literal(b"\r\n")
    if body is not None:
        writer.include(body)
    return writer


def wants_of(step: RequestStep, vocabulary: Vocabulary) -> tuple[Want, ...]:
    """What is expected and captured of an answer, in the order in which it is looked at."""
    workload, expect = vocabulary.workload, step.request.expect
    wants = [
        Want(
            JSON,
            _parts(path),
            f"{path} is not as expected",
            expected=kind_of_json(value),
            value=_json_bytes(value),
        )
        for path, value in expect.json_values.items()
    ]
    wants += [
        Want(
            HEADER,
            (name.lower().encode(),),
            f"the header {name} is not as expected",
            expected=TEXT,
            value=text.encode(),
        )
        for name, text in expect.header.items()
    ]
    for name, capture in step.capture.items():
        kind, parts = _place_of(capture)
        cell, is_printable = workload.captures.index(name), name in workload.captures_in_headers
        wants.append(Want(kind, parts, name, cell, is_printable=is_printable))
    return tuple(wants)


def _place_of(capture: Capture) -> tuple[int, tuple[int | bytes, ...]]:
    """Kind and parts of a want (bench.protocols.wants.state)."""
    marks = () if capture.text is None else (capture.text.after, capture.text.before)
    written = tuple(mark.encode() for mark in marks if mark is not None)
    if capture.header is not None:
        return HEADER, (capture.header.lower().encode(), *written)
    if written:
        return BETWEEN, written
    return JSON, _parts(capture.json_path or "$")


def _parts(path: str) -> tuple[int | bytes, ...]:
    return tuple(step.encode() if isinstance(step, str) else step for step in path_steps(path))


def kind_of_json(value: Any) -> int:
    """The class of a value (bench.protocols.wants.state)."""
    match value:
        case bool():
            return TRUE if value else FALSE
        case None:
            return NULL
        case str():
            return TEXT
    return NUMBER


def _json_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def steps_of(workload: Workload, target: Target | None, vocabulary: Vocabulary, name: str) -> Iterator[Step]:
    """The round trips of an operation."""
    operation = workload.operations[name]
    for number, step in enumerate(operation.all_steps):
        counted = step_name(name, number) if operation.steps else ""
        yield step_of(step, workload.headers, target, vocabulary, counted)


def step_of(
    step: RequestStep, common: dict[str, str], target: Target | None, vocabulary: Vocabulary, name: str
) -> Step:
    """One round trip, counted by itself where it has a name."""
    request = step.request
    writer = write_request(request, common, target, vocabulary)
    return Step(
        bytes(writer.content),
        fields=tuple(writer.fields),
        statuses=request.expect.status,
        contains=(request.expect.contains or "").encode(),
        head_only=request.method == "HEAD",
        wants=wants_of(step, vocabulary),
        name=name,
    )


def program(workload: Workload, seed: int, target: Target | None = None) -> Program:
    """One step per request. The first parameter is what the operation log calls the key."""
    vocabulary = Vocabulary(workload, seed)
    templates = [
        Template(name, tuple(steps_of(workload, target, vocabulary, name))) for name in workload.operations
    ]
    weights = [operation.weight for operation in workload.operations.values()]
    key = 0 if workload.parameters else -1
    variables, captures = variables_of(workload), len(workload.captures)
    apart = []
    if workload.login is not None:
        apart.append(step_of(workload.login, workload.login_headers, target, vocabulary, LOGIN))
    return Program.build(
        templates, weights, variables, key_variable=key, captures=captures, apart=tuple(apart)
    )


async def connect(
    dial: Dialler,
    target: Target,  # noqa: ARG001 - the drivers' common form
    workload: Workload,  # noqa: ARG001 - the drivers' common form
    *,
    subscriber: bool,
) -> Stream:
    """A connection; HTTP begins with the first request."""
    assert not subscriber
    return await dial()


def log_in(
    target: Target, plan: WorkloadPlan, run_label: int, record: Callable[[LoggedIn], None]
) -> LaneLogIn:
    """By an HTTP library, which is imported only where there is something to log in."""
    from bench.drivers.http.requests import LogIn  # which knows this module

    return LogIn(target, plan, run_label, record)


def prepare(target: Target, workload: Workload, seed: int) -> None:
    """Nothing is put in place; what is there is the target's business."""


def perform(
    target: Target,
    workload: Workload,
    steps: Sequence[PlacedStep],
    run_label: int = 0,
    opened: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Send requests one after the other, each on its own connection; see StepDriver.

    The workload's headers go along, but for those that belong to an arrival.
    """
    common = {name: text for name, text in workload.headers.items() if set(names_in(text)) <= {RUN}}
    for path, request in steps:
        writer = write_request(request, common, target, Vocabulary(workload, 0))
        content = writer.content
        for field in writer.fields:
            content[field.offset : field.offset + field.width] = b"%0*d" % (field.width, run_label)
        try:
            with dialled(target, STEP_S) as connection:
                opened(partial(hang_up, connection))
                connection.sendall(content)
                answer = HTTPResponse(connection, method=request.method)
                answer.begin()
                body = answer.read(STEP_BODY_BYTES)
        except (OSError, HTTPException) as error:
            found = str(error) or type(error).__name__
            raise target.error(f"an answer to {path[0]}[{path[1]}]", found, "check its log") from None
        _expect(target, path, request, answer, body)


def _expect(target: Target, path: Path, request: Request, answer: HTTPResponse, body: bytes) -> None:
    """Raise StatementRefused for an answer that the request does not expect."""
    unmet = _unmet(request, answer, body)
    if answer.status in request.expect.status and unmet is None:
        return
    said = redacted(body[:STEP_SAID_BYTES].decode(errors="replace"), [target.password])
    expected = "an answer as `expect` says" + (f", with {unmet}" if unmet else "")
    found = f"{answer.status} {answer.reason}: '{' '.join(said.split())}'"
    raise StatementRefused(path, None, expected, found, "correct the request, or what it expects")


def _unmet(request: Request, answer: HTTPResponse, body: bytes) -> str | None:
    """The first thing beside its status that an answer must have and has not."""
    expect = request.expect
    if expect.contains is not None and expect.contains.encode() not in body:
        return f"{expect.contains!r} in it"
    for name, text in expect.header.items():
        if answer.getheader(name) != text:
            return f"the header {name}: {text}"
    for json_path, value in expect.json_values.items():
        if not _has(body, json_path, value):
            return f"{json_path}: {json.dumps(value)}"
    return None


def _has(body: bytes, json_path: str, wanted: Any) -> bool:
    try:
        found = json.loads(body)
        for step in path_steps(json_path):
            if isinstance(found, list) != isinstance(step, int):
                return False
            found = found[step]
    except (ValueError, LookupError, TypeError):
        return False
    return kind_of_json(found) == kind_of_json(wanted) and bool(found == wanted)
