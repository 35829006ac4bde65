"""A matrix of faults as a document: a table for each edge, and for each cell a sentence on what it means."""

from collections.abc import Iterator
from pathlib import Path

from bench.core.units import counted, format_duration_ns, format_ratio
from bench.judge.verdict import Status
from bench.matrix.cells import ON_THE_TARGET, Edge
from bench.matrix.record import CellRecord, MatrixRecord
from bench.report.document import Badge, Bullets, Cell, Headline, Link, Section, Table, columns
from bench.report.render import markdown, text

TABLE = "fault:11 | #available:9 | #P99:8 | #before:8 | #back:8 | #open:5 | noticed first by"
HEALTHY = 0.999
"""An availability from which on nobody needs to be told of failures."""
DOWN = 0.05
SLOWER = 2.0
"""So many times the usual P99 is slower, and no chance."""
LEFT_OPEN = 50
"""More descriptors than a pool that has grown once explains."""


def render_text(record: MatrixRecord, colour: bool = False) -> str:
    """For a terminal of 80 columns; what it comes to stands last, where it stays on the screen."""
    headline, *sections = _sections(record, None)
    return text.render([*sections, headline], colour)


def render_markdown(record: MatrixRecord, file: Path, beside: Path) -> str:
    """For a ticket or a wiki; links to the runs beside `file` are relative to `beside`."""
    return markdown.render(_sections(record, file), beside)


def _sections(record: MatrixRecord, file: Path | None) -> list[Section]:
    parts = [Section("", (_headline(record),))]
    edges: dict[Edge, list[CellRecord]] = {}
    for cell in record.cells:
        edges.setdefault(Edge(cell.client, cell.target), []).append(cell)
    for edge, cells in edges.items():
        rows = tuple(_row(cell, file) for cell in cells)
        said = Bullets(tuple((f"{cell.condition}: {meaning(cell)}",) for cell in cells))
        parts.append(Section(str(edge), (Table("", columns(TABLE), rows), said)))
    return parts


def _headline(record: MatrixRecord) -> Headline:
    measured = [cell for cell in record.cells if cell.is_measured]
    stuck = sum(not cell.is_back for cell in measured)
    unknown = sum(cell.invalid is not None for cell in record.cells)
    lasted = format_duration_ns(record.fault_ns)
    back = f"not back after {stuck} of them" if stuck else "back after each"
    said = [f"{counted(len(measured), 'fault')} of {lasted}", back]
    if unknown:
        said.append(f"{unknown} not measured")
    badge = Badge("NOT BACK", Status.FAIL) if stuck else Badge("BACK", Status.PASS)
    if not measured or (unknown and not stuck):
        badge = Badge("CANNOT TELL", Status.INCONCLUSIVE)
    return Headline(badge, record.scenario, "; ".join(said))


def _row(cell: CellRecord, file: Path | None) -> tuple[Cell, ...]:
    name: Cell = cell.condition
    if file is not None and cell.run is not None:
        name = Link(cell.condition, file.parent / cell.run)
    if not cell.is_measured:
        return (name, "-")
    first = cell.noticed[0] if cell.noticed else None
    return (
        name,
        "-" if cell.availability is None else format_ratio(cell.availability),
        _time(cell.p99_ns),
        _time(cell.p99_before_ns),
        "never" if cell.back_ns is None else format_duration_ns(cell.back_ns),
        "-" if cell.left_open is None else f"{cell.left_open:+d}",
        "nobody" if first is None else f"{first.detector}, {format_duration_ns(first.after_ns)}",
    )


def _time(ns: int | None) -> str:
    return "-" if ns is None else format_duration_ns(ns)


def meaning(cell: CellRecord) -> str:
    """What the cell says about the system, in a sentence."""
    if cell.refused is not None:
        return f"not possible here: {cell.refused}"
    if cell.invalid is not None:
        return f"not known: {cell.invalid}"
    return "; ".join(_findings(cell))


def _findings(cell: CellRecord) -> Iterator[str]:
    availability = cell.availability
    times = 0.0
    if cell.p99_ns is not None and cell.p99_before_ns:
        times = cell.p99_ns / cell.p99_before_ns
    if availability is None:
        yield f"nothing of {cell.workload} was planned while it lasted"
    elif availability < DOWN:
        yield f"{cell.workload} was down for as long as it lasted"
    elif availability < HEALTHY:
        yield f"{cell.workload} lost {format_ratio(1 - availability)} of what was asked of it"
    elif times >= SLOWER:
        yield f"{cell.workload} answered all, and {times:.0f} times as late as before"
    else:
        yield f"{cell.workload} did not notice"
    harmed = availability is not None and (availability < HEALTHY or times >= SLOWER)
    if harmed and not cell.noticed:
        yield "no detector noticed"
    if cell.back_ns is None:
        yield "it was not back when the run ended"
    elif cell.back_ns and harmed:
        yield f"back {format_duration_ns(cell.back_ns)} after the end of the fault"
    if cell.left_open is not None and cell.left_open > LEFT_OPEN:
        yield f"{counted(cell.left_open, 'more descriptor')} stay open: look for a leak"
    if cell.client is not None and cell.condition in ON_THE_TARGET:
        yield f"everybody who uses {cell.target} was hit"
