"""The plan of a distributed run: cut into segments, and sent with its targets to workers that have neither
the scenario's file nor its environment.

It contains what came from the environment, passwords too: they are passed on, never kept.
"""

from __future__ import annotations

import types
import typing
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bench.core.errors import UsageError
from bench.drivers import driver_named
from bench.plan.compile import plan_digest, workload_seed
from bench.plan.plan import PhasePlan, Plan, Segment, WorkloadPlan, pacing_table
from bench.scenario.model import Workload
from bench.stack.target import Target

if TYPE_CHECKING:
    from collections.abc import Sequence


def segments_of(plan: Plan, workers: Sequence[str]) -> list[dict[str, Segment]]:
    """For each workload of the plan: worker -> its segment, in the order of the segments.

    A workload is cut into as many segments as there are workers, but each engine thread of each segment
    has a lane at least. One that is a whole (see `is_a_whole`) runs on one worker. What does not need
    every worker begins with the one after the last that was given something.
    """
    found: list[dict[str, Segment]] = []
    turn = 0
    for entry in plan.workloads:
        workload = entry.workload
        count = 1 if is_a_whole(workload) else min(len(workers), max(workload.lanes // workload.threads, 1))
        chosen = [workers[(turn + number) % len(workers)] for number in range(count)]
        found.append({name: Segment(number, count) for number, name in enumerate(chosen)})
        turn += count
    return found


def is_a_whole(workload: Workload) -> bool:
    """Whether a workload cannot be cut: its subscribers know all publishers, its pool is one application's,
    its users are one crowd.
    """
    return workload.is_pubsub or workload.engine != "wire"


def packed_plan(plan: Plan) -> dict[str, Any]:
    """What `unpacked_plan` makes the same plan of."""
    return {
        "name": plan.name,
        "seed": plan.seed,
        "digest": plan.digest,
        "operation_log": plan.operation_log,
        "phases": [asdict(phase) for phase in plan.phases],
        "workloads": [_values(entry.workload) for entry in plan.workloads],
    }


def unpacked_plan(values: dict[str, Any], scratch: Path) -> Plan:
    """The plan, segment 0 of 1. A locustfile that is not on this machine is put into `scratch`.

    Raises UsageError where it would not send the same: this machine has another version of Holdfast.
    """
    phases = tuple(PhasePlan(**phase) for phase in values["phases"])
    workloads = []
    for number, fields in enumerate(values["workloads"]):
        workload = _model(Workload, fields)
        seed = workload_seed(values["seed"], number)
        program = driver_named(workload.driver).program(workload, seed)
        pacing = pacing_table(phases, workload.rate_per_s or 0.0)
        workloads.append(WorkloadPlan(workload, seed, program, pacing))
    plan = Plan(values["name"], values["seed"], phases, tuple(workloads), "", values["operation_log"])
    digest = plan_digest(plan)
    if digest != values["digest"]:
        raise UsageError(
            f"expected the plan {values['digest'][:12]}, found that this machine would run {digest[:12]}; "
            "install the same version of Holdfast on every host"
        )
    at_hand = tuple(_with_locustfile(entry, scratch) for entry in plan.workloads)
    return replace(plan, digest=digest, workloads=at_hand)


def packed_target(target: Target | None) -> dict[str, Any] | None:
    """A target with its password."""
    return None if target is None else asdict(target)


def unpacked_target(values: dict[str, Any] | None) -> Target | None:
    """The same target."""
    if values is None:
        return None
    options = tuple((name, value) for name, value in values["options"])
    return Target(**{**values, "options": options})


def _with_locustfile(plan: WorkloadPlan, scratch: Path) -> WorkloadPlan:
    """The locustfile where it is, if it is here and the same; else as it was sent, without its neighbours."""
    named = plan.workload.locustfile
    if named is None or named.text is None:
        return plan
    if named.file.is_file() and named.file.read_text("utf-8") == named.text:
        return plan
    name = Path(named.path).name
    (scratch / name).write_text(named.text, "utf-8")
    here = named.model_copy(update={"path": name, "folder": str(scratch)})
    return replace(plan, workload=plan.workload.model_copy(update={"locustfile": here}))


def _values(value: Any) -> Any:
    """A model as values by the names of its fields; what is left out of other dumps is in it, too."""
    if isinstance(value, BaseModel):
        return {name: _values(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {key: _values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_values(item) for item in value]
    return value


def _model(model: type[Any], fields: dict[str, Any]) -> Any:
    """The model that `_values` was given. Nothing is checked again: texts with units are numbers by now."""
    types_of = typing.get_type_hints(model)
    return model.model_construct(**{name: _typed(types_of[name], value) for name, value in fields.items()})


def _typed(annotation: Any, value: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        kinds = [one for one in arguments if one is not type(None)]
        return value if value is None or len(kinds) > 1 else _typed(kinds[0], value)
    if origin is tuple:
        return tuple(_typed(arguments[0], item) for item in value)
    if origin is dict:
        return {key: _typed(arguments[1], item) for key, item in value.items()}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation, value)
    return value
