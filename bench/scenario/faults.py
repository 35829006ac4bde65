"""Faults of a scenario (what is broken, when, for how long, how often), and what it wants to know of its
data afterwards: one entry for each check of data.
"""

import re
from collections.abc import Collection, Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import CoreSchema

from bench.core.units import Mismatch, duration_ns, quoted, ratio, size_bytes
from bench.registry import ROLES, path_name
from bench.scenario.fault_kinds import FAULT_KINDS, HOOKS, PASSIVE_KINDS, REMEDIES
from bench.scenario.fields import (
    DURATION,
    MAX_TOTAL_NS,
    NAME_PATTERN,
    ByteSize,
    Duration,
    Name,
    StrictModel,
    Whole,
    kind_of,
    quantity,
    usable,
)


def _within_run(ns: float) -> str:
    return "" if 0 <= ns <= MAX_TOTAL_NS else "a time of 0s to 24h"


def _within_processor(share: float) -> str:
    return "" if 0 < share <= 1 else "a load above 0% and at most 100%"


def _within_all(share: float) -> str:
    return "" if 0 < share <= 1 else "a share above 0% and at most 100%"


def _bytes_per_s(value: Any) -> Any:
    if not isinstance(value, str) or not value.endswith("/s"):
        raise Mismatch('a size per second such as "100kB/s"', kind_of(value), 'write "100kB/s"')
    size = size_bytes(value.removesuffix("/s"))
    if size < 1:
        raise Mismatch("at least 1B/s", quoted(value), "write a larger rate")
    return size


Start = Annotated[
    int,
    quantity(duration_ns, DURATION, "s", _within_run),
    WithJsonSchema({"type": "string", "examples": ["10s"]}),
]
Bytes = Annotated[int, ByteSize(1, 10**12, ", 1 to 1000000000000 (1000GB)", "100MB")]
Rate = Annotated[
    int, BeforeValidator(_bytes_per_s), WithJsonSchema({"type": "string", "examples": ["100kB/s"]})
]
Share = Annotated[
    float,
    quantity(ratio, 'a load such as "80%"', "%", _within_processor),
    WithJsonSchema({"type": "string", "examples": ["80%"]}),
]
ConnectionShare = Annotated[
    float,
    quantity(ratio, 'a share of the connections such as "30%"', "%", _within_all),
    WithJsonSchema({"type": "string", "examples": ["30%"]}),
]


class FaultEntry(StrictModel):
    """One entry under `faults`: `{kill: redis, at: 10s, repeat: 5, every: 12s}`."""

    kind: str = Field(description="Written as the key, one of FAULT_KINDS: kill, pause, latency.")
    target: Name = Field(description="Written as the key's value: the service that is hit.")
    which: Literal["first", "random", "in_turn"] | None = Field(
        None,
        description="The one that is hit of several processes: the first, one drawn by the seed, or the next "
        "with each repeat.",
    )
    role: Literal[tuple(ROLES)] | None = Field(  # type: ignore[valid-type]
        None,
        description="What the process that is hit is at that time; the primary if not said.",
    )
    client: Name | None = Field(
        None,
        alias="from",
        description="The service on whose way to the target it acts; without it, on the way of the load.",
    )
    at_ns: Start | None = Field(None, alias="at", description="From the start of the run.")
    for_ns: Duration | None = Field(None, alias="for", description="How long it stays.")
    repeat: Annotated[int, Whole(1, 1000)] = 1
    every_ns: Duration | None = Field(None, alias="every", description="From one repeat to the next.")
    jitter_ns: Duration | None = Field(
        None, alias="jitter", description="Each repeat comes later by up to this, drawn from the seed."
    )
    when: Literal[tuple(HOOKS)] | None = Field(  # type: ignore[valid-type]
        None, description="Wait from `at` on until this is under way."
    )
    delay_ns: Duration | None = Field(None, alias="delay")
    delay_jitter_ns: Duration | None = Field(None, alias="delay_jitter")
    direction: Literal["both", "up", "down"] | None = None
    rate: Rate | None = None
    bytes: Bytes | None = None
    load: Share | None = None
    toxicity: ConnectionShare | None = Field(
        None, description="Share of the connections that a fault on the network path hits, drawn by the seed."
    )
    keep: Annotated[int, Whole(0, 10_000)] | None = None

    @property
    def where(self) -> str:
        """The target, or the way to it from another service."""
        return path_name(self.client, self.target)

    @property
    def settings(self) -> dict[str, float | str]:
        """What the kind takes, by its name in the file; durations in ns, sizes in bytes."""
        fields = ("delay_ns", "delay_jitter_ns", "direction", "rate", "bytes", "load", "toxicity", "keep")
        values = {type(self).model_fields[name].alias or name: getattr(self, name) for name in fields}
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        facts = FAULT_KINDS[self.kind]
        if self.when is not None and self.target not in HOOKS[self.when]:
            having = " or ".join(HOOKS[self.when])
            raise Mismatch(f"{self.when} with the target {having}", quoted(self.target), "remove when")
        for key in ("which", "role"):
            if getattr(self, key) is not None and (
                facts.through_proxy or self.kind in (*PASSIVE_KINDS, *REMEDIES)
            ):
                raise Mismatch(f"no {key} with {self.kind}, which hits no process", key, "remove it")
        if self.client is not None and not facts.through_proxy:
            paths = ", ".join(kind for kind, other in FAULT_KINDS.items() if other.through_proxy)
            raise Mismatch(f"from only with {paths}", f"from with {self.kind}", "remove from")
        if self.at_ns is None:
            raise Mismatch("the time of the fault", "none", "add at: 10s")
        if facts.lasts == "must" and self.for_ns is None:
            raise Mismatch(f"how long the {self.kind} stays", "none", "add for: 2s")
        if facts.lasts == "never" and self.for_ns is not None:
            raise Mismatch(f"no `for` with {self.kind}, which is over at once", "one", "remove it")
        for name in facts.needs:
            if name not in self.settings:
                raise Mismatch(f"{name} for {self.kind}", "none", f"add {name}")
        for name in self.settings:
            if name not in facts.needs + facts.takes:
                known = ", ".join(facts.needs + facts.takes) or "no settings"
                raise Mismatch(f"{known} for {self.kind}", name, "remove it")
        if self.repeat > 1 and self.every_ns is None:
            raise Mismatch("the time between repeats", "none", "add every: 12s")
        if self.every_ns is not None and self.repeat == 1:
            raise Mismatch("every only with repeat", "every alone", "add repeat: 5, or remove it")
        return self


def _only_key(value: Iterable[str], kinds: Collection[str], example: str) -> str:
    """The one key that names the kind of an entry."""
    given = [key for key in value if key in kinds]
    if len(given) != 1:
        found = " and ".join(given) if given else "none of them"
        raise Mismatch(f"exactly one of {', '.join(kinds)}", found, f"write for example {example}")
    return given[0]


def fault_entry(value: Any) -> Any:
    """`{kill: redis, ...}` with the kind and the target taken out of their key."""
    if isinstance(value, FaultEntry):
        return value
    if not isinstance(value, dict):
        raise Mismatch("a fault such as {kill: redis, at: 10s}", kind_of(value), "write one in braces")
    # `memory`, `cpu` and `bytes` are different words, so a key is a kind or a setting, never both.
    kind = _only_key(value, FAULT_KINDS, "{kill: redis, at: 10s}")
    usable(FAULT_KINDS, kind)
    target = value[kind]
    if isinstance(target, dict) and "target" in target and set(target) <= {"target", "which", "role"}:
        value = {**value, **{key: item for key, item in target.items() if key != "target"}}
        target = target["target"]
    if not isinstance(target, str) or not re.fullmatch(NAME_PATTERN, target):
        raise Mismatch(f"the name of a target after {kind}:", kind_of(target), f"write {{{kind}: redis}}")
    for key in ("kind", "target"):
        if key in value:
            raise Mismatch(f"a fault such as {{{kind}: {target}}}", f"the key {key} too", "remove it")
    return {"kind": kind, "target": target} | {key: item for key, item in value.items() if key != kind}


class _FaultSchema:
    """For editors: the settings, and each kind as a key with the name of its target.

    Made when it is asked for, so that the kinds of plug-ins are in it too.
    """

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: Any) -> dict[str, Any]:
        fields = FaultEntry.model_json_schema(by_alias=True)["properties"]
        settings = {name: about for name, about in fields.items() if name not in ("kind", "target")}
        name = {"type": "string", "pattern": NAME_PATTERN}
        aimed = {"target": name, "which": settings.pop("which"), "role": settings.pop("role")}
        one = {"type": "object", "properties": aimed, "required": ["target"], "additionalProperties": False}
        choice = [name, one]
        kinds = {
            kind: {"anyOf": choice, "description": facts.explanation} for kind, facts in FAULT_KINDS.items()
        }
        return {
            "type": "object",
            "properties": kinds | settings,
            "additionalProperties": False,
            "required": ["at"],
            "oneOf": [{"required": [kind]} for kind in FAULT_KINDS],
        }


Fault = Annotated[FaultEntry, BeforeValidator(fault_entry), _FaultSchema()]


class Detection(StrictModel):
    """How the harness itself looks whether a target answers."""

    probe_every_ns: Duration = Field(250 * 10**6, alias="probe_every", json_schema_extra={"default": "250ms"})
    failures: Annotated[int, Whole(1, 100)] = Field(2, description="Failed probes in a row that detect.")


CHECKS = ("acknowledged_writes", "registers", "transfers", "messages")
CHECK_SETTINGS = {
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


def integrity_entry(value: Any) -> Any:
    """`{registers: cache, ...}` with the check and the workload taken out of their key."""
    if isinstance(value, IntegrityCheck):
        return value
    if not isinstance(value, dict):
        expected = "a check such as {acknowledged_writes: cache, operation: add}"
        raise Mismatch(expected, kind_of(value), "write one in braces")
    if "check" in value and "workload" in value:
        return value
    check = _only_key(value, CHECKS, "{acknowledged_writes: cache}")
    rest = {key: item for key, item in value.items() if key != check}
    return {"check": check, "workload": value[check], **rest}


Integrity = Annotated[IntegrityCheck, BeforeValidator(integrity_entry, json_schema_input_type=dict)]
