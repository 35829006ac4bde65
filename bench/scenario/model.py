"""A scenario as frozen values. Names, units and limits of the file format are fixed here.

Built by `bench.scenario.load` from YAML; `Scenario.model_validate(dict)` takes the same keys. The JSON
Schema for editors is made from the models.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
)

from bench.scenario.actions import ActionEntry
from bench.scenario.faults import Detection, Fault, Integrity
from bench.scenario.fields import (
    CheckedModel,
    Duration,
    LoadRatio,
    Name,
    RestRatio,
    StrictModel,
    Text,
    Whole,
)
from bench.scenario.problems import Violation
from bench.scenario.prometheus import PrometheusEntry
from bench.scenario.stop_conditions import Stop
from bench.scenario.workloads import Workload


def _load(value: Any) -> Any:
    """`150%` is the short form of a load that does not change."""
    if isinstance(value, str | int | float):
        return {"from": value, "to": value}
    return value


class Load(StrictModel):
    """Share of the planned rate: constant, or a ramp over the phase."""

    start: LoadRatio = Field(alias="from")
    end: LoadRatio = Field(alias="to")


class Phase(CheckedModel):
    """A part of the run. Only measured phases are judged."""

    name: Name
    duration_ns: Duration = Field(alias="for")
    measured: Annotated[bool, Field(strict=True)] = True
    load: Annotated[
        Load,
        BeforeValidator(_load, json_schema_input_type=str | Load),
        Field(
            description='Share of the rate, "150%", or a ramp {from: 10%, to: 150%}.',
            json_schema_extra={"default": "100%"},
        ),
    ] = Load.model_validate({"from": "100%", "to": "100%"})
    cycles: Annotated[int, Whole(1, 10_000)] | None = Field(
        None, description="Equal parts of the phase, each of load and then rest."
    )
    rest: RestRatio | None = Field(None, description='Share of each cycle without any arrival: "30%".')

    @property
    def load_from(self) -> float:
        """Share of the rate at the start of the phase; 1.0 is 100 %."""
        return self.load.start

    @property
    def load_to(self) -> float:
        """Share of the rate at the end of the phase."""
        return self.load.end


class Scenario(CheckedModel):
    """A scenario file: what is sent where and when, and the rules for what comes out."""

    scenario: Name = Field(description="Name of the scenario, as runs and reports call it.")
    purpose: Text = Field(description="One sentence: what a passing run shows.")
    stack: Text | None = Field(
        None, description="The stack, or its file, that it runs against where --stack says nothing."
    )
    seed: Annotated[int, Whole(0, 2**63 - 1)] = Field(1, description="Equal seeds give equal plans.")
    workloads: Annotated[tuple[Workload, ...], Field(min_length=1, max_length=20)]
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=1000)]
    faults: Annotated[tuple[Fault, ...], Field(max_length=100)] = ()
    actions: Annotated[tuple[ActionEntry, ...], Field(max_length=50)] = ()
    detection: Detection = Detection.model_validate({})
    integrity: Annotated[tuple[Integrity, ...], Field(max_length=50)] = ()
    prometheus: PrometheusEntry | None = None
    sla: Annotated[tuple[Text, ...], Field(max_length=200)] = ()
    stop_when: Annotated[tuple[Stop, ...], Field(max_length=50)] = ()
    operation_log: Annotated[bool, Field(strict=True)] = False

    @property
    def keeps_operations(self) -> bool:
        """Whether every single operation is logged: asked for, or needed to see recoveries and losses."""
        alerts = self.prometheus is not None and bool(self.prometheus.alerts)
        return self.operation_log or self.disturbs or bool(self.integrity) or alerts

    @property
    def disturbs(self) -> bool:
        """Whether something is done to the targets during the load."""
        return bool(self.faults or self.actions)

    @property
    def measured_ns(self) -> int:
        """Length of all measured phases together, in ns."""
        return sum(phase.duration_ns for phase in self.phases if phase.measured)

    @property
    def total_ns(self) -> int:
        """Length of all phases together, in ns."""
        return sum(phase.duration_ns for phase in self.phases)

    def violations(self) -> Iterable[Violation]:
        """Contradictions between the parts of the scenario."""
        from bench.scenario.validators.scenario import check_scenario  # which knows this class

        return check_scenario(self, self.workloads, self.phases)


def json_schema() -> dict[str, Any]:
    """The schema as a JSON value. Values may also be ${NAME} references, which an editor cannot check."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    return (
        {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        | schema
        | {"title": "Holdfast scenario", "patternProperties": {"^x-": True}}
    )
