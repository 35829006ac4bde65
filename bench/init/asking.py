"""Asking what a user has named: who answers, what an API documents, and which of its pages can be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench.core.errors import ScenarioError, TargetError
from bench.init.findings import Findings, FoundOperation, FoundTarget, name_from
from bench.init.openapi import ApiDocument, base_path, read_document
from bench.init.urls import behind_guessed, found_target, targets_in, targets_of
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.health import health_of
from bench.stack.probes.http import http_get
from bench.stack.target import Target

DOCUMENT_PATH = "/openapi.json"
DEADLINE_S = 3.0
MOST_ASKED = 10
"""Requests of an API in the first load; the others are written as comments."""
PAGES = ("/", "/health")
"""What an API without a document is asked for."""


def from_urls(
    given: Sequence[str], environment: Mapping[str, str], document: ApiDocument | None = None
) -> Findings:
    """What answers at the URLs, or at those of the environment where none is given.

    `document`: of the first API. Raises UsageError, TargetError for URLs that cannot be read.
    """
    if given:
        named: list[tuple[Target, str | None]] = [(target, None) for target in targets_of(given)]
    else:
        named = [(target, variable) for variable, target in targets_in(environment).items()]
    found = asked([(found_target(target, variable), target) for target, variable in named])
    complete: list[FoundTarget] = []
    for entry, (target, _) in zip(found, named, strict=True):
        if entry.kind == "http" and not entry.problem:
            complete.append(with_requests(entry, target, document))
            document = None
        else:
            complete.append(entry)
    source = "URLs" if given else " and ".join(variable for _, variable in named if variable)
    return Findings("", source, tuple(behind_guessed(complete)))


def asked(found: Sequence[tuple[FoundTarget, Target]]) -> list[FoundTarget]:
    """The targets with what they answered."""
    healths = health_of(target for _, target in found)
    return [
        replace(entry, problem=health.detail)
        if health.state == "down"
        else replace(entry, said=f"{health.kind} {health.version or ''}".strip())
        for (entry, _), health in zip(found, healths, strict=True)
    ]


def with_requests(found: FoundTarget, target: Target, document: ApiDocument | None) -> FoundTarget:
    """An API with the requests of its document, each safe one asked once; without one, its first page."""
    notes = found.notes
    if document is None:
        try:
            document = own_document(target)
        except ScenarioError as error:
            notes = (*notes, f"its {DOCUMENT_PATH} cannot be read: {error.problems[0]}")
    operations = document.operations if document is not None else ()
    if document is not None and document.further:
        notes = (*notes, f"its document has {document.further} more operations")
    prefix = base_path(document.server) if document is not None and not target.path else ""
    operations = tuple(replace(operation, path=prefix + operation.path) for operation in operations)
    ready = [operation for operation in operations if not operation.reason]
    with ThreadPoolExecutor(4) as threads:
        tried = list(threads.map(lambda operation: _tried(target, operation), ready[:MOST_ASKED]))
    many = f"the first load has {MOST_ASKED} requests; take this one in by removing the #"
    tried += [replace(operation, reason=many) for operation in ready[MOST_ASKED:]]
    others = [operation for operation in operations if operation.reason]
    if all(operation.reason for operation in tried):
        tried.insert(0, _first_page(target, operations))
    said = f"{found.said}, {document.title}" if document is not None and document.title else found.said
    return replace(found, operations=(*tried, *others), notes=notes, said=said)


def own_document(target: Target) -> ApiDocument | None:
    """What an API says of itself; None where it does not. Raises ScenarioError for what cannot be read."""
    path = target.path + DOCUMENT_PATH
    try:
        answer = http_get(target, path, DEADLINE_S)
    except (ProbeError, TargetError):
        return None
    if answer.status != 200 or not answer.body.lstrip().startswith(b"{"):
        return None
    return read_document(answer.body.decode("utf-8", "replace"), f"http://{target.address}{path}")


def _tried(target: Target, operation: FoundOperation) -> FoundOperation:
    """The operation, with the reason why it is not for a first load, if it is not."""
    try:
        status = http_get(target, target.path + operation.path, DEADLINE_S).status
    except (ProbeError, TargetError) as error:
        return replace(operation, reason=f"no answer when it was asked: {error}")
    if status in (401, 403):
        reason = f"asks for a login ({status}): give the workload the headers that it needs"
        return replace(operation, status=status, reason=reason)
    if status >= 400:
        return replace(operation, status=status, reason=f"answered {status} when it was asked")
    return operation


def _first_page(target: Target, others: Sequence[FoundOperation]) -> FoundOperation:
    """A page that answers; the last resort is one that refuses, which then is what is expected."""
    name = name_from("page", [operation.name for operation in others])
    pages = [_tried(target, FoundOperation(name, "GET", path)) for path in PAGES]
    well = [page for page in pages if not page.reason]
    return well[0] if well else replace(pages[0], reason="")
