"""The statements of a Postgres workload: numbered parameters instead of placeholders, and a name each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.scenario.placeholders import PLACEHOLDER, RUN, SEQUENCE, VALUE
from bench.scenario.validators.sql import bare

if TYPE_CHECKING:
    from bench.scenario.model import Workload

ROLLBACK = "ROLLBACK"
_NOT_PARAMETERS = (VALUE, SEQUENCE, RUN)


@dataclass(frozen=True)
class Statement:
    """One prepared statement."""

    name: str
    """Under which every connection prepares it."""
    sql: str
    """With $1, $2, ... where the placeholders stood."""
    parameters: tuple[str, ...]
    """The placeholder of each $n."""
    place: tuple[str | int, ...]
    """Where it stands in the scenario, from the workload; empty for what we add."""
    source: str
    """As the scenario has it."""


def statements_of(workload: Workload) -> dict[str, Statement]:
    """Every statement of the workload by its text in the scenario, each once, in order."""
    found: dict[str, Statement] = {}
    for name, operation in workload.operations.items():
        for index, source in enumerate(operation.all_statements):
            place: tuple[str | int, ...] = ("operations", name, "sql")
            if operation.transaction is not None:
                is_ours = index in (0, len(operation.transaction) + 1)
                place = () if is_ours else ("operations", name, "transaction", index - 1)
            if source not in found:
                sql, parameters = numbered(source, workload)
                found[source] = Statement(f"holdfast_{len(found)}", sql, parameters, place, source)
        if operation.transaction is not None and ROLLBACK not in found:
            found[ROLLBACK] = Statement(f"holdfast_{len(found)}", ROLLBACK, (), (), ROLLBACK)
    return found


def numbered(source: str, workload: Workload) -> tuple[str, tuple[str, ...]]:
    """The statement with $n for each placeholder outside quotes; a name met again keeps its number."""
    numbers: dict[str, int] = {}
    pieces: list[str] = []
    at = 0
    for match in PLACEHOLDER.finditer(bare(source)):
        if match[1] not in workload.parameters and match[1] not in _NOT_PARAMETERS:
            continue
        number = numbers.setdefault(match[1], len(numbers) + 1)
        pieces += [source[at : match.start()], f"${number}"]
        at = match.end()
    return "".join([*pieces, source[at:]]), tuple(numbers)


def source_position(statement: Statement, position: int) -> int:
    """Where character `position` (from 0) of the sent statement stands in the scenario's."""
    sent = original = 0
    code = bare(statement.source)
    numbers = {name: number for number, name in enumerate(statement.parameters, start=1)}
    for match in PLACEHOLDER.finditer(code):
        if match[1] not in numbers:
            continue
        literal = match.start() - original
        if position < sent + literal:
            break
        sent += literal
        original = match.start()
        size = len(f"${numbers[match[1]]}")
        if position < sent + size:
            return original
        sent += size
        original = match.end()
    return original + position - sent
