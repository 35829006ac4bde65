"""What the operations of one workload send: templates, and the numbers to write into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench.engine.wire.layout import (
    CELL_COLUMNS,
    FIELD_COLUMNS,
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_UNDO = -1
NO_PREPARATION = -1


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


@dataclass(frozen=True)
class Template:
    """One operation: its round trips, one after the other, and what its answer must be."""

    name: str
    steps: tuple[Step, ...]
    undo: Step | None = None
    """Sent instead of the further steps when one has failed and left a transaction open."""
    statuses: tuple[int, ...] = ()
    """HTTP statuses that are OK."""
    contains: bytes = b""
    """Text that the body must contain."""
    head_only: bool = False

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
    ) -> Program:
        """Lay the templates out one after the other. Weights need not sum to one."""
        writer = _Layout(len(variables))
        operations = np.zeros((len(templates), OPERATION_COLUMNS), dtype=np.int64)
        expected = np.zeros((len(templates), HIGHEST_STATUS), dtype=np.uint8)
        needles = b""
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
            needle_end = len(needles) + len(template.contains)
            operations[number] = (first, end, undo, len(needles), needle_end, template.head_only)
            needles += template.contains
            expected[number, list(template.statuses)] = 1
        links = [link for template in templates for link in links_of(template.contains)]
        content = bytes(writer.content)
        shares = np.cumsum(np.array(weights, dtype=np.float64))
        return cls(
            names=tuple(template.name for template in templates),
            template=np.frombuffer(content or b"\0", dtype=np.uint8).copy(),
            operations=operations,
            steps=np.array(writer.steps, dtype=np.int64).reshape(len(writer.steps), STEP_COLUMNS),
            lookups=np.array(writer.lookups, dtype=np.uint8),
            fields=np.array(writer.fields, dtype=np.int64).reshape(len(writer.fields), FIELD_COLUMNS),
            variables=np.array(variables, dtype=np.float64).reshape(len(variables), VARIABLE_COLUMNS),
            shares=shares / shares[-1],
            cells=np.array(writer.cells, dtype=np.int64).reshape(len(writer.cells), CELL_COLUMNS),
            cell_bytes=np.frombuffer(bytes(writer.cell_bytes) or b"\0", dtype=np.uint8).copy(),
            expected=expected,
            needles=np.frombuffer(needles, dtype=np.uint8).copy(),
            needle_links=np.array(links, dtype=np.int64),
            key_variable=key_variable,
            channel_variable=channel_variable,
            largest_bytes=writer.largest_bytes,
        )


class _Layout:
    """The bytes, steps and fields of all templates, laid out one after the other."""

    def __init__(self, variable_count: int) -> None:
        self.content = bytearray()
        self.steps: list[list[int]] = []
        self.lookups: list[int] = []
        self.fields: list[tuple[int, int, int, int, int, int]] = []
        self.largest_bytes = 0
        self.cells: list[tuple[int, int]] = []
        self.cell_bytes = bytearray()
        self._first_cells: dict[tuple[bytes, ...], int] = {}
        self._variable_count = variable_count

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
        self.steps.append([*place, len(self.lookups), NO_PREPARATION])
        self.lookups += step.lookups or (NO_LOOKUP,) * step.replies
        self.content += step.content
        self.largest_bytes = max(self.largest_bytes, len(step.content))

    def _first_cell(self, texts: tuple[bytes, ...]) -> int:
        """The row of the first of these texts, each list once."""
        if texts not in self._first_cells:
            self._first_cells[texts] = len(self.cells)
            for text in texts:
                self.cells.append((len(self.cell_bytes), len(text)))
                self.cell_bytes += text
        return self._first_cells[texts]
