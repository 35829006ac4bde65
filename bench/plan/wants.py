"""What is wanted of answers, laid out as tables (bench.protocols.wants.state)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.protocols.http.body import links_of
from bench.protocols.wants.state import BETWEEN, NO_VALUE, PART_COLUMNS, WANT_COLUMNS

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
