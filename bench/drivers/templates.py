"""Templates of requests: literal bytes, and the numbers and texts that each arrival writes into them.

`TemplateWriter` writes what the wire engine copies. `Words` renders the same templates, with the same
draws of the same plan, for client libraries that write their requests themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import PLAIN
from bench.engine.client.pool import PendingRequest, RunClock
from bench.engine.wire.layout import (
    AS_JSON,
    BIG_ENDIAN,
    CAPTURED,
    FROM_ARRIVAL,
    FROM_CAPTURE,
    FROM_RUN,
    FROM_SIZE,
    FROM_VARIABLE,
    IN_JSON,
    IN_PATH,
    LETTERS,
    NATURAL,
    SPACE_PADDED,
    TEXT,
    UUID,
    ZERO_PADDED,
)
from bench.engine.wire.render import captured_size, write_captured, write_letters, write_uuid
from bench.plan.draws import (
    GAUSSIAN,
    SEQUENTIAL,
    SHUFFLED,
    STREAM_FIRST_VARIABLE,
    UNIFORM,
    ZIPF,
    draw,
    variable_row,
)
from bench.plan.plan import WorkloadPlan
from bench.plan.program import Field
from bench.scenario.templates import (
    IDENTIFIER,
    KEY,
    RESERVED,
    RUN,
    RUN_WIDTH,
    SEQUENCE,
    SEQUENCE_WIDTH,
    UUID_WIDTH,
    VALUE,
    Choice,
    Parameter,
    pieces_of,
    value_content,
)
from bench.scenario.workloads import Keys, Workload

TEXTS = (TEXT, LETTERS, UUID, CAPTURED, IN_PATH, IN_JSON, AS_JSON)
"""Forms of text."""
Encode = Callable[[Choice], bytes]
"""How a text is written where it stands."""


def as_it_is(choice: Choice) -> bytes:
    """As UTF-8."""
    return str(choice).encode()


def in_path(choice: Choice) -> bytes:
    """In the path of a request: as it is, since the scenario was checked for what a path cannot have."""
    return as_it_is(choice)


def within_json(choice: Choice) -> bytes:
    """Inside a string of JSON."""
    return json.dumps(str(choice))[1:-1].encode()


def as_json(choice: Choice) -> bytes:
    """As a value of JSON."""
    return json.dumps(choice).encode()


CAPTURE_FORMS: dict[Encode, int] = {
    as_it_is: CAPTURED,
    in_path: IN_PATH,
    within_json: IN_JSON,
    as_json: AS_JSON,
}
"""How the loop writes what was captured."""


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


_ORDERS = {"sequential": SEQUENTIAL, "unique": SEQUENTIAL, "shuffled": SHUFFLED, "random": UNIFORM}


def variables_of(workload: Workload) -> list[NDArray[np.float64]]:
    """One variable for the keys, then for each parameter and for each feed, in order."""
    keys = workload.keys
    variables = [] if keys is None else [variable_of(keys, keys.count, 0)]
    for parameter in workload.parameters.values():
        variables.append(variable_of(parameter, parameter.size, len(variables)))
    for feed in workload.feeds.values():
        stream = int(STREAM_FIRST_VARIABLE) + len(variables)
        variables.append(variable_row(_ORDERS[feed.order], max(feed.rows, 1), stream))
    return variables


@dataclass(frozen=True)
class Vocabulary:
    """What the placeholders of a workload stand for."""

    workload: Workload
    seed: int

    def before(self, name: str) -> bytes:
        """What stands before the number of a placeholder: the prefix of a key."""
        return self.workload.keys.prefix.encode() if name == KEY and self.workload.keys else b""

    def is_captured(self, name: str) -> bool:
        """Whether a placeholder stands for a part of an earlier answer."""
        return name in self.workload.captures

    def is_number(self, name: str) -> bool:
        """Whether a placeholder is a number wherever it stands."""
        if self.is_captured(name):
            return False
        if name in RESERVED:
            return name not in (VALUE, IDENTIFIER)
        feed, _, column = name.partition(".")
        if column:
            return not any(isinstance(cell, str) for cell in self.workload.feeds[feed].columns[column])
        return self.workload.parameters[name].is_number

    def choices(self, name: str) -> tuple[Choice, ...]:
        """What a placeholder is one of, where it is one of a list."""
        feed, _, column = name.partition(".")
        if column:
            return self.workload.feeds[feed].columns[column]
        return self.workload.parameters[name].choices if name in self.workload.parameters else ()

    def variable(self, name: str) -> int:
        """The number of the variable of a parameter or of a feed (`variables_of`)."""
        drawn = [*self.workload.parameters, *(f"{feed}." for feed in self.workload.feeds)]
        feed, point, _ = name.partition(".")
        return drawn.index(feed + point) + (self.workload.keys is not None)

    def content(self, name: str, form: int, encode: Encode) -> tuple[bytes, Field]:
        """Bytes that stand for a placeholder, and the field at their start; `form` and `encode` are those
        of numbers and of texts where it stands.
        """
        if name == SEQUENCE:
            return b"0" * SEQUENCE_WIDTH, Field(0, SEQUENCE_WIDTH, FROM_ARRIVAL, form=form)
        if name == RUN:
            return b"0" * RUN_WIDTH, Field(0, RUN_WIDTH, FROM_RUN, form=form)
        if name == IDENTIFIER:
            return b"0" * UUID_WIDTH, Field(0, UUID_WIDTH, FROM_ARRIVAL, form=UUID)
        if name == VALUE:
            assert self.workload.value is not None
            value, digits = value_content(self.workload.value.bytes, self.seed)
            return value, Field(0, digits, FROM_ARRIVAL)
        if name == KEY:
            assert self.workload.keys is not None
            return b"0" * self.workload.keys.width, Field(
                0, self.workload.keys.width, FROM_VARIABLE, form=form
            )
        if self.is_captured(name):
            cell = self.workload.captures.index(name)
            return b"", Field(0, 0, FROM_CAPTURE, cell, form=CAPTURE_FORMS[encode])
        number = self.variable(name)
        if choices := self.choices(name):
            texts = tuple(map(encode, choices))
            width = max(map(len, texts))
            return b"0" * width, Field(0, width, FROM_VARIABLE, number, form=TEXT, texts=texts)
        parameter = self.workload.parameters[name]
        if parameter.text is not None:
            return b"0" * parameter.text, Field(0, parameter.text, FROM_VARIABLE, number, form=LETTERS)
        width = parameter.width
        return b"0" * width, Field(0, width, FROM_VARIABLE, number, parameter.first, form)


class TemplateWriter:
    """A template's bytes, and its fields in order."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.content = bytearray()
        self.fields: list[Field] = []

    def is_number(self, name: str) -> bool:
        """Whether a placeholder is a number wherever it stands."""
        return self._vocabulary.is_number(name)

    def is_captured(self, name: str) -> bool:
        """Whether a placeholder stands for a part of an earlier answer."""
        return self._vocabulary.is_captured(name)

    def literal(self, content: bytes) -> None:
        """Append bytes as they are."""
        self.content += content

    def placeholder(self, name: str, form: int = ZERO_PADDED, encode: Encode = as_it_is) -> None:
        """Append what stands for a placeholder."""
        self.literal(self._vocabulary.before(name))
        content, field = self._vocabulary.content(name, form, encode)
        self.fields.append(replace(field, offset=len(self.content)))
        self.content += content

    def size_of(self, other: TemplateWriter, form: int = NATURAL, more: int = 0) -> None:
        """Append how many bytes another template has, and `more`, as a natural number or in four bytes.
        What that other one is about to write must follow, after literal bytes only.
        """
        texts = sum(field.width for field in other.fields if field.form == TEXT)
        size = len(other.content) + more
        width = 4 if form == BIG_ENDIAN else len(str(size))
        written = size.to_bytes(4) if form == BIG_ENDIAN else b"%d" % size
        if texts or any(field.source == FROM_CAPTURE for field in other.fields):
            count = len(other.fields)
            self.fields.append(Field(len(self.content), width, FROM_SIZE, count, size - texts, form))
        self.literal(written)

    def text(self, text: str, form: int = ZERO_PADDED, encode: Encode = as_it_is) -> None:
        """Append a text with its placeholders."""
        for piece in pieces_of(text):
            if piece.is_placeholder:
                self.placeholder(piece.text, form, encode)
            else:
                self.literal(piece.text.encode())

    def include(self, other: TemplateWriter) -> None:
        """Append another template with its fields."""
        start = len(self.content)
        self.fields += [replace(one, offset=start + one.offset) for one in other.fields]
        self.content += other.content


def captured_text(ticket: PendingRequest, cell: int, form: int) -> bytes:
    """What an arrival has captured, as it is written in a form."""
    assert ticket.captured is not None
    kind, size = (int(fact) for fact in ticket.captured.facts[cell])
    value = ticket.captured.cells[cell]
    text = np.empty(captured_size(value, size, kind, form), dtype=np.uint8)
    write_captured(text, 0, value, size, kind, form)
    return text.tobytes()


class Draws:
    """The numbers of an arrival. Compiles its draws when it is made."""

    def __init__(self, plan: WorkloadPlan, clock: RunClock) -> None:
        self._rows = list(plan.program.variables)
        self._key_variable = plan.program.key_variable
        self._seed = plan.seed
        self._clock = clock
        for variable in range(len(self._rows)):
            self.drawn(variable, 0)

    def number(self, field: Field, ticket: PendingRequest) -> int:
        """What an arrival has in a field of a template."""
        if field.source == FROM_VARIABLE:
            if field.variable == self._key_variable:
                return ticket.key + field.base
            return self.drawn(field.variable, ticket.arrival) + field.base
        if field.source == FROM_ARRIVAL:
            return ticket.arrival
        assert field.source == FROM_RUN
        return self._clock.run_label

    def text(self, field: Field, ticket: PendingRequest) -> bytes:
        """What an arrival has in a field that is text."""
        if field.source == FROM_CAPTURE:
            return captured_text(ticket, field.variable, field.form)
        number = self.number(field, ticket)
        if field.form == TEXT:
            return field.texts[number]
        text = np.empty(field.width, dtype=np.uint8)
        with np.errstate(over="ignore"):
            if field.form == LETTERS:
                write_letters(text, 0, field.width, number)
            else:
                write_uuid(text, 0, self._clock.run_label, self._seed, ticket.arrival)
        return text.tobytes()

    def drawn(self, variable: int, arrival: int) -> int:
        """What an arrival has for a variable."""
        if PLAIN:
            with np.errstate(over="ignore"):
                return int(draw(self._rows[variable], self._seed, arrival))
        return int(draw(self._rows[variable], self._seed, arrival))


class Words:
    """A text with numbers in it."""

    def __init__(self, writer: TemplateWriter, draws: Draws) -> None:
        content = bytes(writer.content)
        self._makers = [_maker(field, draws) for field in writer.fields]
        form, at = b"", 0
        for field in writer.fields:
            form += content[at : field.offset].replace(b"%", b"%%") + _form(field)
            at = field.offset + field.width
        self._form = form + content[at:].replace(b"%", b"%%")
        is_one = len(writer.fields) == 1 and writer.fields[0].form not in TEXTS
        self._is_number = is_one and self._form == _form(writer.fields[0])
        self._constant = None if writer.fields else content

    @property
    def constant(self) -> bytes | None:
        """The text, where every arrival has the same."""
        return self._constant

    def render(self, ticket: PendingRequest) -> bytes:
        """The text for one arrival."""
        if self._constant is not None:
            return self._constant
        return self._form % tuple([make(ticket) for make in self._makers])

    def number_maker(self) -> Callable[[PendingRequest], int] | None:
        """What gives the number of an arrival, where the text is one number and nothing else."""
        return self._makers[0] if self._is_number else None


def _maker(field: Field, draws: Draws) -> Callable[[PendingRequest], Any]:
    """What gives the number or the text of a field for an arrival."""
    if field.form in TEXTS:
        return lambda ticket: draws.text(field, ticket)
    if field.form == NATURAL or field.source == FROM_VARIABLE:
        return lambda ticket: draws.number(field, ticket)
    # A padded number that is wider than its field keeps its last digits; drawn ones always fit.
    modulus = 10**field.width
    return lambda ticket: draws.number(field, ticket) % modulus


def _form(field: Field) -> bytes:
    """A field for `%`: a number that is written in it takes the place that it has in a rendered request."""
    if field.form in TEXTS:
        return b"%b"
    if field.form == NATURAL:
        return b"%d"
    return b"%%%dd" % field.width if field.form == SPACE_PADDED else b"%%0%dd" % field.width
