"""What must fit together in a workload whose users are Locust's."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bench.core.units import quoted
from bench.scenario.drivers import DRIVERS, OTHER
from bench.scenario.fields import MOST_LANES
from bench.scenario.problems import Finding

Fields = Mapping[str, Any]

_DECIDED_THERE = {
    "value": "remove it: the locustfile decides what is sent",
    "threads": "remove it: all users run in one thread of one process",
    "pipeline": "remove it: a user asks one thing after the other",
}


def findings_of_users(fields: Fields, given: Collection[str]) -> list[Finding]:
    """Contradictions inside one workload. `given` names the fields that the file sets itself."""
    if not DRIVERS[fields["driver"]].asks_by_itself:
        return []
    driver = quoted(fields["driver"])
    found = []
    if "locustfile" in fields and fields["locustfile"] is None:
        advice = "add locustfile: journey.py, a path from the scenario's folder"
        found.append(Finding((), f"a locustfile for the driver {driver}", "none", advice, (("driver",),)))
    if "arrivals" in fields and fields["arrivals"] != "closed":
        expected = f"arrivals: closed with the driver {driver}, whose users ask again when they were answered"
        advice = "write arrivals: closed, and more lanes for more load"
        found.append(Finding(("arrivals",), expected, quoted(fields["arrivals"]), advice, (("driver",),)))
    for name, advice in _DECIDED_THERE.items():
        if name in given and name in fields:
            found.append(
                Finding((name,), f"no {name} with the driver {driver}", name, advice, (("driver",),))
            )
    if "user_classes" in fields:
        found += _repeated_classes(fields["user_classes"])
    return found + _operations(fields, driver)


def findings_of_user_phases(phases: Sequence[Fields], workloads: Sequence[Fields]) -> list[Finding]:
    """Loads that ask for more users than a workload may have; `workloads` are those that run users."""
    found = []
    for number, phase in enumerate(phases):
        for workload in workloads:
            if "load" not in phase or "lanes" not in workload:
                continue
            users = math.ceil(max(phase["load"].start, phase["load"].end) * workload["lanes"])
            if users > MOST_LANES:
                expected = f"at most {MOST_LANES} users after applying the load to the lanes"
                found.append(Finding((number, "load"), expected, f"{users}", "lower the load or the lanes"))
    return found


def _repeated_classes(names: Sequence[str]) -> list[Finding]:
    return [
        Finding(("user_classes", index), "every user class once", f"{quoted(name)} again", "remove it")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _operations(fields: Fields, driver: str) -> list[Finding]:
    found: list[Finding] = []
    first: dict[str, str] = {}
    for name, operation in (fields.get("operations") or {}).items():
        where = ("operations", name)
        if name == OTHER:
            expected = f"a name other than {OTHER}, where all requests go that no operation names"
            found.append(Finding(where, expected, quoted(name), "rename it"))
        if "weight" in operation.model_fields_set:
            expected = f"no weight with the driver {driver}, whose locustfile decides how often"
            found.append(Finding((*where, "weight"), expected, "a weight", "remove it"))
        wanted = operation.locust or name
        if wanted in first:
            expected = "requests that no other operation names"
            advice = f"name others, or remove one of {first[wanted]} and {name}"
            found.append(Finding((*where, "locust"), expected, f"{quoted(wanted)} again", advice))
        first.setdefault(wanted, name)
    return found
