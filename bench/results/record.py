"""What `run.json` must hold before anything else relies on it.

Checked are the parts that judge and reports calculate with, here for their presence and their sense,
in `bench.results.record_shape` for what they are made of.
"""

from __future__ import annotations

from typing import Any

from bench.core.outcome import OUTCOMES
from bench.core.sanitize import all_visible
from bench.results import layout
from bench.results.record_shape import NAMES, RECORD, kind_of, misshapen, problem_of

SECTIONS: dict[str, type] = {
    "scenario": dict,
    "sla": list,
    "phases": list,
    "workloads": list,
    "totals": dict,
    "anomalies": list,
    "measured_ns": int,
}
"""The sections of a complete run; an interrupted one may lack some."""

LABELS = frozenset(outcome.label for outcome in OUTCOMES)


def checked(record: object) -> dict[str, Any]:
    """`record` when it can be relied on. Raises ValueError that says what was expected and found."""
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {kind_of(record)}")  # noqa: TRY004 - one error for all damage
    _check_version(record)
    for section, kind in SECTIONS.items():
        if section in record or record.get("status") == "complete":
            _expect(section, record.get(section), kind)
    for section in ("phases", "anomalies"):
        for index, entry in enumerate(record.get(section, [])):
            _expect(f"{section}[{index}]", entry, dict)
    if "totals" in record:
        _check_tally("totals", record["totals"])
    for index, workload in enumerate(record.get("workloads", [])):
        _check_workload(f"workloads[{index}]", workload)
    if problem := misshapen(record, RECORD) or problem_of(record):
        raise ValueError(problem)
    return record


def visible_record(record: dict[str, Any]) -> dict[str, Any]:
    """The record with every text that others wrote made visible; the scenario's own text stays as it is."""
    shown: dict[str, Any] = all_visible(record)
    scenario = record.get("scenario")
    if isinstance(scenario, dict) and "text" in scenario:
        shown["scenario"]["text"] = scenario["text"]
    return shown


def _check_version(record: dict[str, Any]) -> None:
    version = record.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"expected a format number, found {version!r}")
    if version > layout.FORMAT:
        raise ValueError(
            f"expected format {layout.FORMAT} or older, found {version}, "
            f"written by Holdfast {record.get('holdfast', 'of a newer version')}; read it with that version"
        )


def _check_workload(where: str, workload: object) -> None:
    _expect(where, workload, dict)
    assert isinstance(workload, dict)
    _expect(f"{where}.name", workload.get("name"), str)
    _expect(f"{where}.counts", workload.get("counts", []), list)
    _expect(f"{where}.counters", workload.get("counters", {}), dict)
    for index, count in enumerate(workload.get("counts", [])):
        place = f"{where}.counts[{index}]"
        _expect(place, count, dict)
        _expect(f"{place}.operation", count.get("operation"), str)
        _expect(f"{place}.measured", count.get("measured"), bool)
        _check_tally(place, count)
        _check_answers(place, count)


def _check_tally(where: str, tally: dict[str, Any]) -> None:
    """A number of planned arrivals beside a number for each outcome."""
    _expect(f"{where}.planned", tally.get("planned"), int)
    outcomes = tally.get("outcomes")
    _expect(f"{where}.outcomes", outcomes, dict)
    assert isinstance(outcomes, dict)
    for label, count in outcomes.items():
        if label not in LABELS:
            raise ValueError(
                f"{where}.outcomes: expected one of {', '.join(sorted(LABELS))}, found {label!r}"
            )
        _expect(f"{where}.outcomes.{label}", count, int)


def _check_answers(where: str, count: dict[str, Any]) -> None:
    """What answers brought, in runs that counted it."""
    for key in ("hits", "misses"):
        if key in count:
            _expect(f"{where}.{key}", count[key], int)
    if "statuses" in count:
        _expect(f"{where}.statuses", count["statuses"], dict)
        for status, number in count["statuses"].items():
            if not (status.isascii() and status.isdigit() and len(status) == 3):
                raise ValueError(f"{where}.statuses: expected HTTP statuses, found {status!r}")
            _expect(f"{where}.statuses.{status}", number, int)


def _expect(where: str, found: object, kind: type) -> None:
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise ValueError(f"{where}: expected {NAMES[kind]}, found {kind_of(found)}")
