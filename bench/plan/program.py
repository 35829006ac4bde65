"""What the operations of one workload send: templates, and the numbers to write into them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench.engine.layout import FIELD_COLUMNS, FROM_VARIABLE, OPERATION_COLUMNS
from bench.plan.draws import VARIABLE_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Field:
    """A number of fixed decimal width inside a rendered request; `variable` for FROM_VARIABLE only."""

    offset: int
    width: int
    source: int
    variable: int = 0


@dataclass(frozen=True)
class Template:
    """One operation's request as bytes, the replies that it must get, and its fields."""

    name: str
    content: bytes
    replies: int
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Program:
    """The operations of a workload as the loop's tables (layout.Tables has the shapes)."""

    names: tuple[str, ...]
    template: NDArray[np.uint8]
    operations: NDArray[np.int64]
    fields: NDArray[np.int64]
    variables: NDArray[np.float64]
    shares: NDArray[np.float64]
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
        operations = np.zeros((len(templates), OPERATION_COLUMNS), dtype=np.int64)
        fields: list[tuple[int, int, int, int]] = []
        start = 0
        for number, template in enumerate(templates):
            first = len(fields)
            for one in template.fields:
                if one.offset + one.width > len(template.content):
                    raise ValueError(f"operation {template.name}: a field lies outside its template")
                if one.source == FROM_VARIABLE and one.variable >= len(variables):
                    raise ValueError(f"operation {template.name}: no variable number {one.variable}")
                fields.append((one.offset, one.width, one.source, one.variable))
            operations[number] = (start, len(template.content), template.replies, first, len(fields))
            start += len(template.content)
        content = b"".join(template.content for template in templates)
        shares = np.cumsum(np.array(weights, dtype=np.float64))
        return cls(
            names=tuple(template.name for template in templates),
            template=np.frombuffer(content or b"\0", dtype=np.uint8).copy(),
            operations=operations,
            fields=np.array(fields, dtype=np.int64).reshape(len(fields), FIELD_COLUMNS),
            variables=np.array(variables, dtype=np.float64).reshape(len(variables), VARIABLE_COLUMNS),
            shares=shares / shares[-1],
            key_variable=key_variable,
            channel_variable=channel_variable,
            largest_bytes=max((len(template.content) for template in templates), default=0),
        )
