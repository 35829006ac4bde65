"""Writing a request's template: literal bytes, and the numbers that each arrival puts into them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.drivers.values import RUN_WIDTH, SEQUENCE_WIDTH, value_content
from bench.engine.wire.layout import FROM_ARRIVAL, FROM_RUN, FROM_VARIABLE, ZERO_PADDED
from bench.plan.program import Field
from bench.scenario.placeholders import RUN, SEQUENCE, VALUE, pieces_of

if TYPE_CHECKING:
    from bench.scenario.model import Workload


@dataclass(frozen=True)
class Vocabulary:
    """What the placeholders of a workload stand for."""

    workload: Workload
    seed: int

    def content(self, name: str) -> tuple[bytes, int, int, int, int]:
        """Bytes that stand for a placeholder, then width, source, variable and base of the field at
        their start.
        """
        if name == SEQUENCE:
            return b"0" * SEQUENCE_WIDTH, SEQUENCE_WIDTH, FROM_ARRIVAL, 0, 0
        if name == RUN:
            return b"0" * RUN_WIDTH, RUN_WIDTH, FROM_RUN, 0, 0
        if name == VALUE:
            assert self.workload.value is not None
            value, digits = value_content(self.workload.value.bytes, self.seed)
            return value, digits, FROM_ARRIVAL, 0, 0
        parameter = self.workload.parameters[name]
        number = list(self.workload.parameters).index(name)
        return b"0" * parameter.width, parameter.width, FROM_VARIABLE, number, parameter.first


class TemplateWriter:
    """A template's bytes, and its fields in order."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.content = bytearray()
        self.fields: list[Field] = []

    def literal(self, content: bytes) -> None:
        """Append bytes as they are."""
        self.content += content

    def placeholder(self, name: str, form: int = ZERO_PADDED) -> None:
        """Append what stands for a placeholder; a value is text whatever the form."""
        content, width, source, variable, base = self._vocabulary.content(name)
        used = ZERO_PADDED if name == VALUE else form
        self.fields.append(Field(len(self.content), width, source, variable, base, used))
        self.content += content

    def text(self, text: str, form: int = ZERO_PADDED) -> None:
        """Append a text with its placeholders."""
        for piece in pieces_of(text):
            if piece.is_placeholder:
                self.placeholder(piece.text, form)
            else:
                self.literal(piece.text.encode())

    def include(self, other: TemplateWriter) -> None:
        """Append another template with its fields."""
        start = len(self.content)
        self.fields += [
            Field(start + one.offset, one.width, one.source, one.variable, one.base, one.form)
            for one in other.fields
        ]
        self.content += other.content
