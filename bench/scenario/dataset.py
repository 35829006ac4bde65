"""The data that a Postgres workload finds: a built-in set, or SQL of one's own."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.core.units import Mismatch, quoted
from bench.scenario.fields import Whole, kind_of
from bench.scenario.strict_model import StrictModel

BUILT_IN = ("tpcb", "app")


class SqlSource(StrictModel):
    """SQL to run before the load: a file beside the scenario, or the text itself."""

    path: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] = "inline"
    text: Annotated[str, Field(strict=True, max_length=2**20)] | None = None


def _source(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _sources(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


class DataSetChoice(StrictModel):
    """Which data set, how large, and whether it stays."""

    name: Literal["tpcb", "app"] | None = Field(None, description="tpcb: as pgbench has it; app: orders.")
    scale: Annotated[int, Whole(1, 10_000)] = 1
    keep: Annotated[bool, Field(strict=True, description="Leave it for the next run.")] = False
    sql: Annotated[
        tuple[Annotated[SqlSource, BeforeValidator(_source, json_schema_input_type=str | SqlSource)], ...],
        BeforeValidator(_sources),
        Field(max_length=20, description="Files with SQL, run in order; relative to the scenario."),
    ] = ()


def choice(value: Any) -> Any:
    """`tpcb` is the short form of {name: tpcb}."""
    if isinstance(value, str):
        if value not in BUILT_IN:
            expected = f"one of {', '.join(BUILT_IN)}, or {{sql: [file.sql]}}"
            raise Mismatch(expected, quoted(value), f"write one of {', '.join(BUILT_IN)}")
        return {"name": value}
    if not isinstance(value, dict | DataSetChoice):
        raise Mismatch("a data set such as tpcb", kind_of(value), f"write one of {', '.join(BUILT_IN)}")
    return value
