"""The evidence of an assessment in one file: the requirements, what was found, and all that shows it.

    readiness.html, .md, .json     in results/, so that the page's links lead to the runs beside it
    requirements.yaml              the file that was judged by
    results/RUN/                   run.json, the verdict as judged now, and the report where there is one
    evidence/                      documents of others; of a statement also its signature and the signers
    SHA256SUMS                     of every other file: unzip, then sha256sum -c SHA256SUMS

Equal contents give equal bytes: the times of all entries are that of the assessment.
"""

import hashlib
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from bench.assess.assessment import Assessment
from bench.assess.documents.statement import SUFFIX
from bench.assess.matrix import Item, RequirementResult
from bench.core.clock import NS_PER_S
from bench.core.errors import ResultError
from bench.report.assess.forms import render_html, render_json, render_markdown
from bench.results import layout
from bench.results.layout import as_json

SUMS = "SHA256SUMS"
RESULTS, EVIDENCE = PurePosixPath("results"), PurePosixPath("evidence")
OF_A_RUN = (layout.RECORD, layout.REPORT)
"""What of a run is taken as it stands, where it is there."""


def write_bundle(path: Path, found: Assessment, requirements: Path) -> int:
    """Write the bundle, whole or not at all; how many files are in it. Raises ResultError.

    `requirements` is the file by which was judged.
    """
    try:
        contents = dict(sorted(_contents(found, requirements)))
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in contents.items())
        _write(path, {**contents, SUMS: sums.encode()}, found.now_ns)
    except OSError as error:
        raise ResultError(
            f"{path}: expected to be able to write the bundle, found '{error.strerror}' "
            f"({error.filename or path}); name another file with --bundle"
        ) from error
    return len(contents)


def _write(path: Path, contents: dict[str, bytes], wall_ns: int) -> None:
    moment = datetime.fromtimestamp(wall_ns / NS_PER_S, UTC)
    stamp = (max(moment.year, 1980), moment.month, moment.day, moment.hour, moment.minute, moment.second)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents.items():
                entry = zipfile.ZipInfo(name, stamp)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _contents(found: Assessment, requirements: Path) -> Iterator[tuple[str, bytes]]:
    yield "requirements.yaml", requirements.read_bytes()
    for evidence in found.body.by_scenario.values():
        folder = RESULTS / evidence.run.name
        yield str(folder / layout.VERDICT), as_json(evidence.verdict.to_json()).encode()
        for name in OF_A_RUN:
            if (evidence.run.path / name).is_file():
                yield str(folder / name), (evidence.run.path / name).read_bytes()
    documents = dict(_documents(found, requirements.parent))
    yield from ((str(place), path.read_bytes()) for place, path in documents.items())
    inside = _inside(found, {path: place for place, path in documents.items()})
    yield str(RESULTS / "readiness.html"), render_html(inside, found.results).encode()
    yield str(RESULTS / "readiness.md"), render_markdown(inside, found.results).encode()
    yield str(RESULTS / "readiness.json"), render_json(found).encode()


def _documents(found: Assessment, folder: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """The documents that are there, by their places in the bundle."""
    for requirement in found.requirements.requirements:
        for document in requirement.evidence or ():
            names = [document.path]
            if document.statement is not None:
                names += [document.path + SUFFIX, document.signers]
            for name in names:
                path = folder / name
                if path.is_file():
                    parts = [part for part in PurePosixPath(name).parts if part != "/"]
                    yield EVIDENCE.joinpath(*("_" if part == ".." else part for part in parts)), path


def _inside(found: Assessment, places: dict[Path, PurePosixPath]) -> Assessment:
    """The same, with links to documents that lead to their places beside the results in the bundle."""

    def item(one: Item) -> Item:
        place = places.get(one.shown) if one.shown is not None else None
        return replace(one, shown=None if place is None else found.results / ".." / place)

    def met(one: RequirementResult) -> RequirementResult:
        return replace(one, items=tuple(map(item, one.items)))

    return replace(found, mets=tuple(map(met, found.mets)))
