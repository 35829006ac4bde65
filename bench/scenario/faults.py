"""Faults of a scenario: what is broken, when, for how long, how often."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from bench.scenario.fault_kinds import FAULT_KINDS, HOOKS
from bench.scenario.fields import Duration, LoadRatio, Name, ValueBytes, Whole, kind_of
from bench.scenario.part import Part
from bench.units import Mismatch, quoted


def _bytes_per_s(value: Any) -> Any:
    from bench.units import size_bytes

    if not isinstance(value, str) or not value.endswith("/s"):
        raise Mismatch('a size per second such as "100kB/s"', kind_of(value), 'write "100kB/s"')
    size = size_bytes(value.removesuffix("/s"))
    if size < 1:
        raise Mismatch("at least 1B/s", quoted(value), "write a larger rate")
    return size


class FaultEntry(Part):
    """One entry under `faults`: `{kill: redis, at: 10s, repeat: 5, every: 12s}`."""

    kind: Literal[tuple(FAULT_KINDS)] = Field(description="Written as the key: kill, pause, latency.")  # type: ignore[valid-type]
    target: Name = Field(description="Written as the key's value: the service that is hit.")
    at_ns: Duration | None = Field(None, alias="at", description="From the start of the run.")
    for_ns: Duration | None = Field(None, alias="for", description="How long it stays.")
    repeat: Annotated[int, Whole(1, 1000)] = 1
    every_ns: Duration | None = Field(None, alias="every", description="From one repeat to the next.")
    jitter_ns: Duration | None = Field(
        None, alias="jitter", description="Each repeat comes later by up to this, drawn from the seed."
    )
    when: Literal[HOOKS] | None = Field(  # type: ignore[valid-type]
        None, description="Wait from `at` on until this is under way."
    )
    delay_ns: Duration | None = Field(None, alias="delay")
    delay_jitter_ns: Duration | None = Field(None, alias="delay_jitter")
    direction: Literal["both", "up", "down"] | None = None
    rate: Annotated[int, BeforeValidator(_bytes_per_s)] | None = None
    bytes: ValueBytes | None = None
    load: LoadRatio | None = None
    keep: Annotated[int, Whole(0, 10_000)] | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the kind takes, by its name in the file; durations in ns, sizes in bytes."""
        values = {
            "delay": self.delay_ns,
            "delay_jitter": self.delay_jitter_ns,
            "direction": self.direction,
            "rate": self.rate,
            "bytes": self.bytes,
            "load": self.load,
            "keep": self.keep,
        }
        return {name: value for name, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        facts = FAULT_KINDS[self.kind]
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


def entry(value: Any) -> Any:
    """`{kill: redis, ...}` with the kind and the target taken out of their key."""
    if isinstance(value, FaultEntry) or not isinstance(value, dict):
        if isinstance(value, FaultEntry):
            return value
        raise Mismatch("a fault such as {kill: redis, at: 10s}", kind_of(value), "write one in braces")
    if "kind" in value and "target" in value:
        return value
    # `memory`, `cpu` and `bytes` are different words, so a key is a kind or a setting, never both.
    kinds = [key for key in value if key in FAULT_KINDS]
    if len(kinds) != 1:
        known = ", ".join(FAULT_KINDS)
        found = " and ".join(kinds) if kinds else "none of them"
        raise Mismatch(f"exactly one of {known}", found, "write for example {kill: redis, at: 10s}")
    rest = {key: item for key, item in value.items() if key != kinds[0]}
    return {"kind": kinds[0], "target": value[kinds[0]], **rest}


Fault = Annotated[FaultEntry, BeforeValidator(entry, json_schema_input_type=dict)]


class Detection(Part):
    """How the harness itself looks whether a target answers."""

    probe_every_ns: Duration = Field(250 * 10**6, alias="probe_every", json_schema_extra={"default": "250ms"})
    failures: Annotated[int, Whole(1, 100)] = Field(2, description="Failed probes in a row that detect.")
