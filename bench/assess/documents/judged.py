"""A document as part of a requirement: what it shows, unless it is missing, damaged or too old."""

from collections.abc import Sequence
from pathlib import Path

from bench.assess.documents.kinds import Document
from bench.assess.documents.reading import Unreadable, read_bytes
from bench.assess.documents.reports import Finding, coverage, junit, sarif
from bench.assess.documents.statement import statement
from bench.assess.evidence import too_old
from bench.assess.matrix import Item
from bench.assess.requirements import Requirement
from bench.assess.status import RequirementStatus
from bench.core.clock import NS_PER_S

WORDS = {"junit": "JUnit", "coverage": "coverage", "sarif": "SARIF", "statement": "statement"}
READERS = {"junit": junit, "coverage": coverage, "sarif": sarif}
AHEAD_NS = 120 * NS_PER_S
"""By so much another machine's clock may be ahead."""


def documents_of(requirement: Requirement, folder: Path, now_ns: int, max_age_ns: int) -> Sequence[Item]:
    """How the documents of a requirement stand; their paths are relative to `folder`.

    `max_age_ns`: how old one may be that says nothing of it.
    """
    return [_judged(one, requirement, folder, now_ns, max_age_ns) for one in requirement.evidence or ()]


def _judged(document: Document, requirement: Requirement, folder: Path, now_ns: int, max_age_ns: int) -> Item:
    kind = document.kinds[0]
    path = folder / document.path
    name = f"{WORDS[kind]} {document.path}"
    try:
        if kind == "statement":
            found, written_ns = statement(document, path, requirement.key, folder, now_ns), None
            limit_ns = document.max_age_ns or requirement.max_age_ns
        else:
            data, written_ns = read_bytes(path)
            found, limit_ns = READERS[kind](document, data), document.max_age_ns or max_age_ns
    except Unreadable as unreadable:
        return Item(name, RequirementStatus.NOT_SHOWN, str(unreadable), f"make {document.path} anew")
    made_ns = found.made_ns if found.made_ns is not None else written_ns
    age_ns = None if made_ns is None else now_ns - made_ns
    return _aged(Item(name, found.status, found.because, _todo(found, document), age_ns, path), limit_ns)


def _todo(found: Finding, document: Document) -> str | None:
    return None if found.status.is_shown else f"see {document.path}"


def _aged(item: Item, limit_ns: int | None) -> Item:
    """A document that is too old, or of the future, shows nothing; that something is broken it still says."""
    if item.age_ns is None or not item.status.is_shown:
        return item
    if item.age_ns < -AHEAD_NS:
        because = "its date lies in the future: compare the clocks"
    elif limit_ns is not None and item.age_ns > limit_ns:
        because = too_old(item.age_ns, limit_ns)
    else:
        return item
    todo = f"make {item.name.partition(' ')[2]} anew"
    return Item(item.name, RequirementStatus.NOT_SHOWN, because, todo, item.age_ns, item.shown)
