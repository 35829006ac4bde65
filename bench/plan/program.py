"""What the operations of one workload send, and what is wanted of answers, laid out as tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.engine.wire.layout import (
    CELL_COLUMNS,
    FIELD_COLUMNS,
    FROM_CAPTURE,
    FROM_VARIABLE,
    HIGHEST_STATUS,
    NATURAL,
    NO_LOOKUP,
    OPERATION_COLUMNS,
    STEP_COLUMNS,
    T_PREPARE,
    TEXT,
    ZERO_PADDED,
)
from bench.plan.draws import VARIABLE_COLUMNS
from bench.protocols.http.scanner import links_of
from bench.protocols.wants.state import BETWEEN, CELL_BYTES, NO_VALUE, PART_COLUMNS, WANT_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray


SCRATCH = -1
NO_INDEX = -1


@dataclass(frozen=True)
class Want:
    """One value that an answer must have."""

    kind: int
    parts: tuple[int | bytes, ...]
    """Steps of a path, or marks, or a name."""
    said: str
    """How its error is said."""
    cell: int = SCRATCH
    """Where it is kept; SCRATCH: where nothing looks for it afterwards."""
    expected: int = NO_VALUE
    """The class of the value that it must be; NO_VALUE: it is captured."""
    value: bytes = b""
    is_printable: bool = False


class WantTables(NamedTuple):
    """The wants of all steps; bench.protocols.wants.state has the columns."""

    wants: NDArray[np.int64]
    parts: NDArray[np.int64]
    texts: NDArray[np.uint8]
    links: NDArray[np.int64]
    cells: int
    """Cells that a lane needs."""


class WantsWriter:
    """Lays out wants one after the other; `captures`: cells that are kept from one answer to the next."""

    def __init__(self, captures: int) -> None:
        self._captures = captures
        self._scratch = 0
        self._wants: list[tuple[int, ...]] = []
        self._parts: list[tuple[int, ...]] = []
        self._texts = bytearray()
        self._links: list[int] = []

    def add(self, wants: tuple[Want, ...]) -> tuple[int, int]:
        """Append the wants of a step; return the first row and the one behind the last."""
        first, scratch = len(self._wants), self._captures
        for want in wants:
            part_first = len(self._parts)
            for part in want.parts:
                name = b"" if isinstance(part, int) else part
                self._parts.append(
                    (part if isinstance(part, int) else NO_INDEX, *self._text(name, want.kind))
                )
            cell = want.cell
            if cell == SCRATCH:
                cell, scratch = scratch, scratch + 1
            self._wants.append(
                (
                    want.kind,
                    part_first,
                    len(self._parts),
                    cell,
                    want.expected,
                    *self._text(want.value),
                    want.is_printable,
                    *self._text(want.said.encode()),
                )
            )
        self._scratch = max(self._scratch, scratch - self._captures)
        return first, len(self._wants)

    def _text(self, text: bytes, kind: int | None = None) -> tuple[int, int]:
        start = len(self._texts)
        self._texts += text
        self._links += links_of(text).tolist() if kind == BETWEEN else [0] * len(text)
        return start, len(self._texts)

    def tables(self) -> WantTables:
        """All of them."""
        return WantTables(
            np.array(self._wants, dtype=np.int64).reshape(-1, WANT_COLUMNS),
            np.array(self._parts, dtype=np.int64).reshape(-1, PART_COLUMNS),
            np.frombuffer(bytes(self._texts), dtype=np.uint8).copy(),
            np.array(self._links, dtype=np.int64),
            self._captures + self._scratch,
        )


NO_UNDO = -1
NO_PREPARATION = -1
NO_NAME = -1
LONGEST_CAPTURE = 6 * CELL_BYTES + 2
"""Bytes of a captured value that JSON writes with an escape for each of its own, in quotes."""


@dataclass(frozen=True)
class Field:
    """A number inside a rendered request; `variable` for FROM_VARIABLE only, `base` is added to it.

    `width` bytes stand for it in the template; one of the form NATURAL or TEXT may take fewer.
    """

    offset: int
    width: int
    source: int
    variable: int = 0
    base: int = 0
    form: int = ZERO_PADDED
    texts: tuple[bytes, ...] = ()
    """Of the form TEXT: the text that each number stands for."""


@dataclass(frozen=True)
class Step:
    """One round trip: its bytes, the replies that it must get, and its fields in order."""

    content: bytes
    replies: int = 1
    fields: tuple[Field, ...] = ()
    lookups: tuple[int, ...] = ()
    """What each reply counts as (layout.NO_LOOKUP ...); empty: as nothing."""
    prepare: bytes = b""
    """What prepares its statement again where the server says that it is out of date; empty: nothing does."""
    statuses: tuple[int, ...] = ()
    """HTTP statuses that are OK."""
    contains: bytes = b""
    """Text that the body must contain."""
    head_only: bool = False
    wants: tuple[Want, ...] = ()
    name: str = ""
    """What its figures are called, where it is counted by itself."""


@dataclass(frozen=True)
class Template:
    """One operation: its round trips, one after the other, and what its answer must be."""

    name: str
    steps: tuple[Step, ...]
    undo: Step | None = None
    """Sent instead of the further steps when one has failed and left a transaction open."""

    @classmethod
    def single(cls, name: str, content: bytes, replies: int, fields: tuple[Field, ...] = ()) -> Template:
        """An operation of one round trip, whatever its answer."""
        return cls(name, (Step(content, replies, fields),))


@dataclass(frozen=True)
class Program:
    """The operations of a workload as the loop's tables (layout.Tables has the shapes)."""

    names: tuple[str, ...]
    template: NDArray[np.uint8]
    operations: NDArray[np.int64]
    steps: NDArray[np.int64]
    lookups: NDArray[np.uint8]
    fields: NDArray[np.int64]
    variables: NDArray[np.float64]
    shares: NDArray[np.float64]
    cells: NDArray[np.int64]
    cell_bytes: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    needles: NDArray[np.uint8]
    needle_links: NDArray[np.int64]
    wants: WantTables
    key_variable: int = -1
    channel_variable: int = -1
    largest_bytes: int = field(default=0)

    @classmethod
    def build(
        cls,
        templates: list[Template],
        weights: list[float],
        variables: list[NDArray[np.float64]],
        *,
        key_variable: int = -1,
        channel_variable: int = -1,
        captures: int = 0,
        apart: tuple[Step, ...] = (),
    ) -> Program:
        """Lay the templates out one after the other. Weights need not sum to one.

        `captures`: how many cells of a lane keep parts of answers; `apart`: what is asked beside all
        operations.
        """
        steps = [*(step for template in templates for step in template.steps), *apart]
        names = (*(template.name for template in templates), *(step.name for step in steps if step.name))
        writer = _Layout(names, len(variables), captures)
        operations = np.zeros((len(templates), OPERATION_COLUMNS), dtype=np.int64)
        for number, template in enumerate(templates):
            first = len(writer.steps)
            for step in template.steps:
                writer.add(template.name, step)
            end = len(writer.steps)
            undo = NO_UNDO
            if template.undo is not None:
                undo = end
                writer.add(template.name, template.undo)
            for place, step in enumerate(template.steps):
                if step.prepare:
                    writer.steps[first + place][T_PREPARE] = len(writer.steps)
                    writer.add(template.name, Step(step.prepare))
            operations[number] = (first, end, undo)
        for step in apart:
            writer.add(step.name, step)
        content = bytes(writer.content)
        shares = np.cumsum(np.array(weights, dtype=np.float64))
        return cls(
            names=names,
            template=np.frombuffer(content or b"\0", dtype=np.uint8).copy(),
            operations=operations,
            steps=np.array(writer.steps, dtype=np.int64).reshape(len(writer.steps), STEP_COLUMNS),
            lookups=np.array(writer.lookups, dtype=np.uint8),
            fields=np.array(writer.fields, dtype=np.int64).reshape(len(writer.fields), FIELD_COLUMNS),
            variables=np.array(variables, dtype=np.float64).reshape(len(variables), VARIABLE_COLUMNS),
            shares=shares / shares[-1],
            cells=np.array(writer.cells, dtype=np.int64).reshape(len(writer.cells), CELL_COLUMNS),
            cell_bytes=np.frombuffer(bytes(writer.cell_bytes) or b"\0", dtype=np.uint8).copy(),
            expected=np.array(writer.expected, dtype=np.uint8).reshape(len(writer.steps), HIGHEST_STATUS),
            needles=np.frombuffer(bytes(writer.needles), dtype=np.uint8).copy(),
            needle_links=np.array(writer.needle_links, dtype=np.int64),
            wants=writer.wants.tables(),
            key_variable=key_variable,
            channel_variable=channel_variable,
            largest_bytes=writer.largest_bytes,
        )


class _Layout:
    """The bytes, steps and fields of all templates, laid out one after the other."""

    def __init__(self, names: tuple[str, ...], variable_count: int, captures: int) -> None:
        self.content = bytearray()
        self.steps: list[list[int]] = []
        self.lookups: list[int] = []
        self.fields: list[tuple[int, int, int, int, int, int]] = []
        self.largest_bytes = 0
        self.cells: list[tuple[int, int]] = []
        self.cell_bytes = bytearray()
        self._first_cells: dict[tuple[bytes, ...], int] = {}
        self._variable_count = variable_count
        self._names = names
        self.wants = WantsWriter(captures)
        self.expected: list[NDArray[np.uint8]] = []
        self.needles = bytearray()
        self.needle_links: list[int] = []

    def add(self, operation: str, step: Step) -> None:
        """Append one step. Raises ValueError where its fields do not fit it."""
        first, position = len(self.fields), 0
        for one in step.fields:
            if one.offset + one.width > len(step.content):
                raise ValueError(f"operation {operation}: a field lies outside its template")
            if one.source == FROM_VARIABLE and one.variable >= self._variable_count:
                raise ValueError(f"operation {operation}: no variable number {one.variable}")
            if one.form in (NATURAL, TEXT) and one.offset < position:
                raise ValueError(f"operation {operation}: fields that are not in order")
            position = one.offset
            base = one.base + (self._first_cell(one.texts) if one.form == TEXT else 0)
            self.fields.append((one.offset, one.width, one.source, one.variable, base, one.form))
        place = (len(self.content), len(step.content), step.replies, first, len(self.fields))
        needle_end = len(self.needles) + len(step.contains)
        answer = (len(self.needles), needle_end, step.head_only, *self.wants.add(step.wants))
        name = self._names.index(step.name) if step.name else NO_NAME
        self.steps.append([*place, len(self.lookups), NO_PREPARATION, *answer, name])
        self.lookups += step.lookups or (NO_LOOKUP,) * step.replies
        self.content += step.content
        self.needles += step.contains
        self.needle_links += links_of(step.contains).tolist()
        self.expected.append(np.zeros(HIGHEST_STATUS, dtype=np.uint8))
        self.expected[-1][list(step.statuses)] = 1
        captured = sum(LONGEST_CAPTURE for one in step.fields if one.source == FROM_CAPTURE)
        self.largest_bytes = max(self.largest_bytes, len(step.content) + captured)

    def _first_cell(self, texts: tuple[bytes, ...]) -> int:
        """The row of the first of these texts, each list once."""
        if texts not in self._first_cells:
            self._first_cells[texts] = len(self.cells)
            for text in texts:
                self.cells.append((len(self.cell_bytes), len(text)))
                self.cell_bytes += text
        return self._first_cells[texts]
