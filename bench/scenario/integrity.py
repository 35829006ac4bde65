"""What a scenario wants to know of its data after the faults: one entry for each check."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bench.core.units import Mismatch
from bench.scenario.fields import Duration, Name, Whole, kind_of
from bench.scenario.strict_model import StrictModel

CHECKS = ("acknowledged_writes", "registers", "transfers", "messages")
SETTINGS = {
    "acknowledged_writes": ("operation", "found", "store"),
    "registers": ("count", "clients", "every_ns"),
    "transfers": ("total",),
    "messages": (),
}
"""Further keys that each check may have."""

MS = 10**6
Sql = Annotated[str, Field(strict=True, min_length=1, max_length=100_000)]


class IntegrityCheck(StrictModel):
    """One entry under `integrity`: `{acknowledged_writes: cache, operation: add}`."""

    check: Literal["acknowledged_writes", "registers", "transfers", "messages"] = Field(
        description="Written as the key: acknowledged_writes, registers, transfers, messages."
    )
    workload: Name = Field(description="Written as the key's value: the workload that it is about.")
    operation: Name | None = Field(
        None, description="acknowledged_writes: the operation that writes once for each arrival."
    )
    found: Sql | None = Field(
        None,
        description="acknowledged_writes, SQL: a query of the arrivals' numbers that are there: "
        "SELECT id FROM ledger WHERE run = {run}.",
    )
    store: Name | None = Field(
        None, alias="in", description="The target that `found` is asked of, where it is not the workload's."
    )
    total: Sql | None = Field(
        None, description="transfers: a query of one number that no transfer changes; asked again and again."
    )
    count: Annotated[int, Whole(1, 100)] = Field(4, description="registers: how many.")
    clients: Annotated[int, Whole(1, 32)] = Field(4, description="registers: connections that use them.")
    every_ns: Duration = Field(
        20 * MS,
        alias="every",
        description="registers: time between two operations of one client.",
        json_schema_extra={"default": "20ms"},
    )


def entry(value: Any) -> Any:
    """`{registers: cache, ...}` with the check and the workload taken out of their key."""
    if isinstance(value, IntegrityCheck):
        return value
    if not isinstance(value, dict):
        expected = "a check such as {acknowledged_writes: cache, operation: add}"
        raise Mismatch(expected, kind_of(value), "write one in braces")
    if "check" in value and "workload" in value:
        return value
    kinds = [key for key in value if key in CHECKS]
    if len(kinds) != 1:
        found = " and ".join(kinds) if kinds else "none of them"
        expected = f"exactly one of {', '.join(CHECKS)}"
        raise Mismatch(expected, found, "write for example {acknowledged_writes: cache}")
    rest = {key: item for key, item in value.items() if key != kinds[0]}
    return {"check": kinds[0], "workload": value[kinds[0]], **rest}


Integrity = Annotated[IntegrityCheck, BeforeValidator(entry, json_schema_input_type=dict)]
