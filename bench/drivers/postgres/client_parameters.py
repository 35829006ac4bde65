"""Parameters of a statement for asyncpg, which encodes them by their types.

The wire engine sends every parameter as text and leaves it to the server. asyncpg takes a Python value
of the parameter's type, so the server is asked for the types once, before the run.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bench.core.errors import StatementRefused
from bench.drivers.request_templates import Words
from bench.drivers.writer import TemplateWriter
from bench.scenario.placeholders import PLACEHOLDER
from bench.scenario.validators.sql import bare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncpg import Type

    from bench.drivers.postgres.statements import Statement
    from bench.drivers.request_templates import Draws
    from bench.drivers.writer import Vocabulary
    from bench.engine.client.request import PendingRequest

Maker = Callable[["PendingRequest"], Any]
"""Gives a parameter's value for an arrival."""

_NUMBERS: dict[str, Callable[[int], Any]] = {
    "int2": int,
    "int4": int,
    "int8": int,
    "oid": int,
    "numeric": Decimal,
    "float4": float,
    "float8": float,
}
_TEXTS = ("text", "varchar", "bpchar", "name", "char", "unknown")
_BYTES = "bytea"


def makers_of(
    statement: Statement, types: Sequence[Type], vocabulary: Vocabulary, draws: Draws
) -> tuple[Maker, ...]:
    """One maker for each $n of the statement; `types` are those that the server found.

    Raises StatementRefused for a type that is neither a number nor text.
    """
    return tuple(
        _maker(statement, name, wanted.name, _words(name, vocabulary, draws))
        for name, wanted in zip(statement.parameters, types, strict=True)
    )


def _words(name: str, vocabulary: Vocabulary, draws: Draws) -> Words:
    """The text that the wire engine sends for a placeholder."""
    writer = TemplateWriter(vocabulary)
    writer.placeholder(name)
    return Words(writer, draws)


def _maker(statement: Statement, name: str, type_name: str, words: Words) -> Maker:
    if type_name in _TEXTS:
        return lambda ticket: words.render(ticket).decode()
    if type_name == _BYTES:
        return words.render
    number = words.number_maker()
    if type_name not in _NUMBERS or number is None:
        raise StatementRefused(
            statement.place,
            _place_of(statement, name),
            "parameters that are numbers or text, as asyncpg can be given them",
            f"{{{name}}} for the type {type_name}",
            f"cast it in the SQL, such as {{{name}}}::int or {{{name}}}::text, or write engine: wire",
        )
    convert = _NUMBERS[type_name]
    if convert is int:
        return number
    return lambda ticket: convert(number(ticket))


def _place_of(statement: Statement, name: str) -> int | None:
    """Where a placeholder first stands in the scenario's text."""
    found = (match.start() for match in PLACEHOLDER.finditer(bare(statement.source)) if match[1] == name)
    return next(found, None)
