"""Asking what a user has named: who answers, what an API documents, and which of its pages can be loaded."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bench.core.errors import ScenarioError, TargetError
from bench.init.compose_file import read_compose
from bench.init.findings import (
    Findings,
    FoundOperation,
    FoundTarget,
    behind_guessed,
    found_target,
    listed,
    name_from,
    targets_in,
    targets_of,
    variables_in,
)
from bench.init.openapi import ApiDocument, base_path, read_document, server_of
from bench.scenario.source import file_name, read_text
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

    `document`: of the first API, and where it is if no URL says so. Raises UsageError, TargetError for URLs
    that cannot be read.
    """
    if given:
        named: list[tuple[Target, str | None]] = [(target, None) for target in targets_of(given)]
    else:
        named = targets_in(environment)
    if document is not None and all(target.kind != "http" for target, _ in named):
        named += [(target, None) for target in targets_of([server_of(document)])]
    found = [found_target(target, variable) for target, variable in named]
    source = "the URLs given" if given else listed(list(variables_in(environment))) or "the document"
    complete = _with_answers(found, [target for target, _ in named], document)
    return Findings("", source, tuple(behind_guessed(complete)))


def from_compose(file: Path, document: ApiDocument | None = None) -> Findings:
    """What a compose file has; APIs are asked for their requests where the project runs already.

    `document`: of the first API that has none behind it. Raises ScenarioError.
    """
    found = read_compose(read_text(file), file_name(file))
    apis = [target for target in found.targets if target.kind == "http" and target.published]
    apis.sort(key=lambda target: len(set(target.behind) & {api.name for api in apis}))
    reached = [Target(api.name, api.kind, "127.0.0.1", api.published or 0) for api in apis]
    complete = {target.name: _as_if_up(target) for target in _with_answers(apis, reached, document)}
    return replace(found, targets=tuple(complete.get(target.name, target) for target in found.targets))


def _as_if_up(target: FoundTarget) -> FoundTarget:
    """One of a project that need not run yet; where it runs and is not ready, that is said."""
    if "the answer '" not in target.problem:
        return replace(target, problem="")
    note = f"When it was asked, it was not ready ({target.problem}): run bench init again once it is."
    return replace(target, problem="", notes=(*target.notes, note))


def _with_answers(
    found: Sequence[FoundTarget], targets: Sequence[Target], document: ApiDocument | None
) -> list[FoundTarget]:
    """The targets with what they answered, and APIs with their requests; the document is the first API's."""
    complete: list[FoundTarget] = []
    for entry, target, health in zip(found, targets, health_of(targets), strict=True):
        is_down = health.state == "down"
        if is_down:
            answered = replace(entry, problem=health.detail)
        else:
            answered = replace(
                entry, said=entry.said or f"answers{f', version {health.version}' if health.version else ''}"
            )
        if target.kind == "http":
            answered = _with_requests(answered, target, document)
            document = None
        complete.append(answered)
    return complete


def _with_requests(found: FoundTarget, target: Target, document: ApiDocument | None) -> FoundTarget:
    """An API with the requests of its document, each safe one asked once; without one, its first page."""
    notes, is_down = found.notes, bool(found.problem)
    if document is None and not is_down:
        try:
            document = own_document(target)
        except ScenarioError as error:
            notes = (*notes, f"Its {DOCUMENT_PATH} cannot be read: {error.problems[0]}")
    operations = document.operations if document is not None else ()
    if document is not None and document.further:
        notes = (*notes, f"Its document has {document.further} more operations.")
    prefix = base_path(document.server) if document is not None and not target.path else ""
    operations = tuple(replace(operation, path=prefix + operation.path) for operation in operations)
    ready = [operation for operation in operations if not operation.reason]
    tried = ready[:MOST_ASKED]
    if not is_down:
        with ThreadPoolExecutor(4) as threads:
            tried = list(threads.map(lambda operation: _tried(target, operation), tried))
    many = f"The first load has {MOST_ASKED} requests; remove the # for more"
    tried += [replace(operation, reason=many) for operation in ready[MOST_ASKED:]]
    others = [operation for operation in operations if operation.reason]
    if not is_down and all(operation.reason for operation in tried):
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
    if well:
        return well[0]
    return replace(pages[0], reason="", guess=pages[0].reason)
