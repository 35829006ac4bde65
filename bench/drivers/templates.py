"""Templates of requests: literal bytes, and the numbers that each arrival writes into them.

`TemplateWriter` writes what the wire engine copies. `Words` renders the same templates, with the same
draws of the same plan, for client libraries that write their requests themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import PLAIN
from bench.engine.client.pool import PendingRequest, RunClock
from bench.engine.wire.layout import FROM_ARRIVAL, FROM_RUN, FROM_VARIABLE, NATURAL, SPACE_PADDED, ZERO_PADDED
from bench.plan.draws import GAUSSIAN, SEQUENTIAL, STREAM_FIRST_VARIABLE, UNIFORM, ZIPF, draw, variable_row
from bench.plan.plan import WorkloadPlan
from bench.plan.program import Field
from bench.scenario.model import Keys, Workload
from bench.scenario.templates import (
    KEY,
    RUN,
    RUN_WIDTH,
    SEQUENCE,
    SEQUENCE_WIDTH,
    VALUE,
    Parameter,
    pieces_of,
    value_content,
)

DISTRIBUTIONS = {"uniform": UNIFORM, "zipf": ZIPF, "gaussian": GAUSSIAN, "sequential": SEQUENTIAL}


def variable_of(numbers: Keys | Parameter, count: int, number: int) -> NDArray[np.float64]:
    """Variable `number` (from 0) of a workload, drawing 0..count-1. Each has a separate stream."""
    return variable_row(
        DISTRIBUTIONS[numbers.distribution],
        count,
        int(STREAM_FIRST_VARIABLE) + number,
        exponent=numbers.exponent,
        deviations=numbers.deviations,
    )


def variables_of(parameters: dict[str, Parameter]) -> list[NDArray[np.float64]]:
    """One variable for each parameter, in order."""
    return [
        variable_of(parameter, parameter.size, number) for number, parameter in enumerate(parameters.values())
    ]


@dataclass(frozen=True)
class Vocabulary:
    """What the placeholders of a workload stand for."""

    workload: Workload
    seed: int

    def before(self, name: str) -> bytes:
        """What stands before the number of a placeholder: the prefix of a key."""
        return self.workload.keys.prefix.encode() if name == KEY and self.workload.keys else b""

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
        if name == KEY:
            assert self.workload.keys is not None
            return b"0" * self.workload.keys.width, self.workload.keys.width, FROM_VARIABLE, 0, 0
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
        self.literal(self._vocabulary.before(name))
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


class Draws:
    """The numbers of an arrival. Compiles its draws when it is made."""

    def __init__(self, plan: WorkloadPlan, clock: RunClock) -> None:
        self._rows = list(plan.program.variables)
        self._key_variable = plan.program.key_variable
        self._seed = plan.seed
        self._clock = clock
        for variable in range(len(self._rows)):
            self._drawn(variable, 0)

    def number(self, field: Field, ticket: PendingRequest) -> int:
        """What an arrival has in a field of a template."""
        if field.source == FROM_VARIABLE:
            if field.variable == self._key_variable:
                return ticket.key + field.base
            return self._drawn(field.variable, ticket.arrival) + field.base
        if field.source == FROM_ARRIVAL:
            return ticket.arrival
        assert field.source == FROM_RUN
        return self._clock.run_label

    def _drawn(self, variable: int, arrival: int) -> int:
        if PLAIN:
            with np.errstate(over="ignore"):
                return int(draw(self._rows[variable], self._seed, arrival))
        return int(draw(self._rows[variable], self._seed, arrival))


class Words:
    """A text with numbers in it."""

    def __init__(self, writer: TemplateWriter, draws: Draws) -> None:
        content = bytes(writer.content)
        self._draws = draws
        self._fields = [(field, _modulus(field)) for field in writer.fields]
        form, at = b"", 0
        for field in writer.fields:
            form += content[at : field.offset].replace(b"%", b"%%") + _form(field)
            at = field.offset + field.width
        self._form = form + content[at:].replace(b"%", b"%%")
        self._constant = None if writer.fields else content

    @property
    def constant(self) -> bytes | None:
        """The text, where every arrival has the same."""
        return self._constant

    def render(self, ticket: PendingRequest) -> bytes:
        """The text for one arrival."""
        if self._constant is not None:
            return self._constant
        number = self._draws.number
        return self._form % tuple(
            number(field, ticket) if modulus is None else number(field, ticket) % modulus
            for field, modulus in self._fields
        )

    def number_maker(self) -> Callable[[PendingRequest], int] | None:
        """What gives the number of an arrival, where the text is one number and nothing else."""
        if len(self._fields) != 1 or self._form != _form(self._fields[0][0]):
            return None
        ((field, modulus),) = self._fields
        draws = self._draws
        if modulus is None:
            return lambda ticket: draws.number(field, ticket)
        return lambda ticket: draws.number(field, ticket) % modulus


def _form(field: Field) -> bytes:
    """A field for `%`: a number that is written in it takes the place that it has in a rendered request."""
    if field.form == NATURAL:
        return b"%d"
    return b"%%%dd" % field.width if field.form == SPACE_PADDED else b"%%0%dd" % field.width


def _modulus(field: Field) -> int | None:
    """A padded number that is wider than its field keeps its last digits; drawn ones always fit."""
    return None if field.form == NATURAL or field.source == FROM_VARIABLE else 10**field.width
