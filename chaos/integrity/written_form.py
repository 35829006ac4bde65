"""What an arrival writes into one word of a Redis command, and back: which arrival wrote this."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.drivers.values import RUN_WIDTH, SEQUENCE_WIDTH, value_content
from bench.scenario.placeholders import RUN, SEQUENCE, pieces_of

if TYPE_CHECKING:
    from bench.scenario.model import Workload


@dataclass(frozen=True)
class WrittenForm:
    """Literal bytes, and widths of zero-padded numbers where an arrival's number stands."""

    pieces: tuple[bytes | int, ...]

    def of(self, arrival: int) -> bytes:
        """What this arrival wrote. A number wider than its field keeps its last digits."""
        return b"".join(
            piece if isinstance(piece, bytes) else b"%0*d" % (piece, arrival % 10**piece)
            for piece in self.pieces
        )

    def arrival_of(self, written: bytes) -> int | None:
        """Which arrival wrote this; None where none can have."""
        match = self._pattern.fullmatch(written)
        if match is None:
            return None
        arrival = int(match[1])
        return arrival if self.of(arrival) == written else None

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        parts = (
            re.escape(piece) if isinstance(piece, bytes) else b"([0-9]{%d})" % piece for piece in self.pieces
        )
        return re.compile(b"".join(parts), re.DOTALL)


def written_form(word: str, workload: Workload, seed: int, run_label: int) -> WrittenForm:
    """The form of a word of a command, as the engines render it; {key} is not among its placeholders."""
    pieces: list[bytes | int] = []
    for piece in pieces_of(word):
        if not piece.is_placeholder:
            pieces.append(piece.text.encode())
        elif piece.text == SEQUENCE:
            pieces.append(SEQUENCE_WIDTH)
        elif piece.text == RUN:
            pieces.append(b"%0*d" % (RUN_WIDTH, run_label))
        else:
            assert workload.value is not None
            content, digits = value_content(workload.value.bytes, seed)
            pieces += [digits, content[digits:]]
    return WrittenForm(tuple(pieces))
