"""What placeholders become for one arrival, for client libraries that write their requests themselves.

Numbers and texts are those of the wire engine: the same fields of the same templates, and the same
draws of the same plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.jit import PLAIN
from bench.engine.wire.layout import FROM_ARRIVAL, FROM_RUN, FROM_VARIABLE, NATURAL, SPACE_PADDED
from bench.plan.draws import draw

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.drivers.writer import TemplateWriter
    from bench.engine.client.request import PendingRequest, RunClock
    from bench.plan.plan import WorkloadPlan
    from bench.plan.program import Field


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
