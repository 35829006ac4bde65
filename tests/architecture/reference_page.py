"""docs/reference.md, made from the tables of the product that say what a scenario may write."""

from __future__ import annotations

import ast
import inspect
from enum import IntEnum
from typing import TYPE_CHECKING

from bench.core.outcome import Outcome
from bench.core.units import BYTES, NS, PER_S
from bench.judge.verdict import EXIT_CODES, Status
from bench.registry import DRIVERS, shipped_topology
from bench.scenario.fault_kinds import FAULT_KINDS, HOOKS, FaultFacts
from bench.scenario.rules import grammar
from bench.scenario.rules.metric_facts import STATS
from bench.scenario.rules.metrics import UNIT_WORDS, MetricSpec, Outline, metrics_of_outlines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEAD = """\
# Reference: rules, metrics, drivers, faults

This page is generated from the tables that the product itself uses.
`tests/architecture/test_reference_page.py` keeps the two equal and says how to update it.
[scenarios/README.md](../scenarios/README.md) explains the format.
"""
WORKLOAD, OPERATION, TARGET = "cache", "get", "redis"
"""Names that stand for those of a scenario."""
LASTS = {"never": "instantaneous", "must": "stays; needs `for`", "may": "either; `for` is optional"}


def reference_page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_rules(), *_metrics(), *_drivers(), *_faults(), *_ends()])


def _rules() -> list[str]:
    written = inspect.cleandoc(grammar.__doc__ or "").split("\n\n")
    return [
        "## Rules\n",
        "```text",
        inspect.cleandoc(next(part for part in written if part.startswith("    rule "))),
        "```\n",
        _one_line(written[-1]) + "\n",
        "For example `cache.response.p95 < 10ms warn 8ms`. A quantity carries its unit:\n",
        *_table(("quantity", "units"), [_units("time", NS), _units("rate", PER_S), _units("size", BYTES)]),
        "A size with `/s`, `/min` or `/h` is a growth, `%` a share, a number without a unit a count.\n",
    ]


def _units(name: str, units: Iterable[str]) -> tuple[str, str]:
    return name, ", ".join(f"`{unit}`" for unit in units)


def _metrics() -> list[str]:
    common = _of_outline("noop")
    everywhere = set(_grouped(common))
    return [
        "## Metrics\n",
        "A metric may be about the whole `run` (`errors`), a `workload` (`cache.errors`), an `operation`\n"
        "(`cache.get.errors`) or a source (`redis.cpu`). With a statistic it ends in\n"
        "`.pNN` (such as `.p99.9`), `.mean` or `.max`.\n",
        "### Of every workload\n",
        *_metric_table(common),
        "### Of some drivers and engines\n",
        *_of_drivers(everywhere),
        "Engine `client`:\n",
        *_metric_table(_without(_of_outline("noop", engine="client"), everywhere)),
        "### Of what a run costs\n",
        *_resources(everywhere),
        "### Of scenarios with faults\n",
        *_metric_table(_without(_of_faults(), everywhere)),
        "`availability(window=30d, incidents=1)` is possible too: what that many incidents would leave.\n",
    ]


def _of_drivers(everywhere: set[str]) -> list[str]:
    drivers_of: dict[tuple[str, ...], list[str]] = {}
    for driver in DRIVERS:
        own = _metric_table(_without(_of_outline(driver), everywhere))
        if own:
            drivers_of.setdefault(tuple(own), []).append(driver)
    return [
        line
        for own, drivers in drivers_of.items()
        for line in (f"Driver{'s' * (len(drivers) > 1)} {_code(drivers)}:\n", *own)
    ]


def _of_outline(driver: str, *, engine: str = "wire", target: str = "") -> dict[str, MetricSpec]:
    facts = DRIVERS[driver]
    names = facts.own_operations or (OPERATION,)
    return metrics_of_outlines([Outline(WORKLOAD, engine, names, target, driver)])


def _of_faults() -> dict[str, MetricSpec]:
    outline = Outline(WORKLOAD, "wire", (OPERATION,), "", "noop")
    return metrics_of_outlines([outline], with_faults=True)


def _resources(everywhere: set[str]) -> list[str]:
    found = _without(_of_outline("redis", target=TARGET), everywhere | set(_grouped(_of_outline("redis"))))
    found |= {
        name: spec
        for name, spec in _of_outline("noop").items()
        if name.startswith(("generator.", "machine."))
    }
    rows = []
    for name, spec in found.items():
        if "." in name:
            continue
        sources = [full.rpartition(".")[0] for full in found if full.endswith(f".{name}")]
        shown = ["a target" if source == TARGET else f"`{source}`" for source in sources]
        rows.append((f"`{name}`", spec.unit, f"alone, {', '.join(sorted(shown))}", spec.explanation))
    return _table(("metric", "unit", "alone (all targets) or after", "meaning"), rows)


def _without(metrics: Mapping[str, MetricSpec], names: set[str]) -> dict[str, MetricSpec]:
    return {full: spec for full, spec in metrics.items() if _name_of(full) not in names}


def _name_of(full: str) -> str:
    """The metric without scope and statistic: "cache.get.response.pNN" is "response"."""
    parts = full.split(".")
    parts = parts[:-1] if parts[-1] in STATS else parts
    return grammar.scope_and_name(parts)[1]


def _grouped(metrics: Mapping[str, MetricSpec]) -> dict[str, dict[str, MetricSpec]]:
    groups: dict[str, dict[str, MetricSpec]] = {}
    for full, spec in metrics.items():
        if not full.startswith(("generator.", "machine.")):
            groups.setdefault(_name_of(full), {})[full] = spec
    return groups


def _metric_table(metrics: Mapping[str, MetricSpec]) -> list[str]:
    rows = []
    for name, forms in _grouped(metrics).items():
        spec = next(iter(forms.values()))
        plain = {full for full in forms if full.rpartition(".")[2] not in STATS}
        statistic = "no" if plain == set(forms) else "optional" if plain else "yes"
        scopes = {full.count(".") - name.count(".") - (full not in plain) for full in forms}
        where = ", ".join(
            word for depth, word in enumerate(("run", "workload", "operation")) if depth in scopes
        )
        rows.append((f"`{name}`", spec.unit, f"{spec.better} is better", where, statistic, spec.explanation))
    return _table(("metric", "unit", "", "of", "statistic", "meaning"), rows) if rows else []


def _drivers() -> list[str]:
    rows = [
        (
            f"`{name}`",
            _code(facts.targets_in(shipped_topology())) or "any name, nothing is contacted",
            _code(facts.engines),
            _code(facts.forms)
            or _code(facts.own_operations) + (" (its own)" if facts.own_operations else ""),
            _code(facts.settings),
        )
        for name, facts in DRIVERS.items()
    ]
    return ["## Drivers\n", *_table(("driver", "targets", "engines", "operations", "settings"), rows)]


def _faults() -> list[str]:
    rows = [
        (
            f"`{kind}`",
            facts.explanation,
            LASTS[facts.lasts],
            _code(facts.needs),
            _code(facts.takes),
            _acts_on(facts),
        )
        for kind, facts in FAULT_KINDS.items()
    ]
    moments = [(f"`when: {name}`", _code(targets)) for name, targets in HOOKS.items()]
    return [
        "## Faults\n",
        *_table(("kind", "what happens", "how long", "needs", "may have", "acts on"), rows),
        "A fault can wait for a moment:\n",
        *_table(("moment", "targets"), moments),
    ]


def _acts_on(facts: FaultFacts) -> str:
    if facts.through_proxy:
        return "the network path"
    return "the process or container" if facts.on_process else ""


def _ends() -> list[str]:
    said = _said_of(Status)
    statuses = [(f"`{status.name}`", said[status.name], str(int(EXIT_CODES[status]))) for status in Status]
    outcomes = [(f"`{outcome.label}`", _said_of(Outcome)[outcome.name]) for outcome in Outcome]
    return [
        "## Outcomes of an arrival\n",
        *_table(("outcome", "meaning"), outcomes),
        "## Verdicts\n",
        "The worst of all checks is the run's; the last in this table is the worst.\n",
        *_table(("status", "meaning", "exit code"), statuses),
        "## Units of results\n",
        *_table(
            ("unit", "in a rule written as"), [(f"`{unit}`", words) for unit, words in UNIT_WORDS.items()]
        ),
    ]


def _said_of(kinds: type[IntEnum]) -> dict[str, str]:
    """The sentence below each member of an enumeration."""
    (definition,) = ast.parse(inspect.getsource(kinds)).body
    assert isinstance(definition, ast.ClassDef)
    said = {}
    for member, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(member, ast.Assign) and isinstance(below, ast.Expr):
            assert isinstance(member.targets[0], ast.Name)
            said[member.targets[0].id] = ast.literal_eval(below.value)
    return said


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [*lines, ""]
