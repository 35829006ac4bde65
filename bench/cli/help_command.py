"""`bench help [TOPIC]`: what a scenario may say, in a terminal, from the tables of the product itself.

`bench help` shows it in a terminal, docs/reference.md as a page. Names stand in `backticks`.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from bench.cli.output import say
from bench.core.units import BYTES, NS, PER_S
from bench.registry import DRIVERS
from bench.scenario.fault_kinds import FAULT_KINDS, HOOKS, FaultFacts
from bench.scenario.rules import grammar
from bench.scenario.rules.metric_facts import STATS, SUSTAINED
from bench.scenario.rules.metrics import MetricSpec, Outline, metrics_of_outlines

if TYPE_CHECKING:
    from collections.abc import Iterator


WIDTH = 80
TERM = 26
"""Columns for what is explained, with the space behind it."""
TOPICS = {
    "metrics": "What a rule may be about, with its unit.",
    "rules": "How a rule is written.",
    "faults": "What a scenario can break, and what each fault needs.",
}


@click.command("help")
@click.argument("topic", required=False, type=click.Choice(list(TOPICS)))
def command(topic: str | None) -> None:
    """Explain what a scenario may say: metrics, rules or faults.

    `bench COMMAND --help` explains a command.
    """
    if topic is None:
        lines = [f"  bench help {name:<11}{said}" for name, said in TOPICS.items()]
        say("\n".join([*lines, "  bench COMMAND --help  What a command does, and its options."]))
        return
    blocks = {"metrics": metrics, "rules": rules, "faults": faults}[topic]()
    say("\n".join(line for block in blocks for line in _lines(block)).rstrip())


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Entries():
            for row in block.rows:
                yield from _entry(block, row)
        case Grammar():
            yield from block.text.split("\n")
        case Heading():
            yield block.text.upper()
        case _:
            yield from textwrap.wrap(_plain(block), WIDTH, break_on_hyphens=False)
    yield ""


def _entry(table: Entries, row: tuple[str, ...]) -> Iterator[str]:
    """The term, what it means, and in brackets all else that its table says."""
    last = range(len(row))[table.meaning]
    others = [
        f"{head}: {cell}" if head else cell
        for place, (head, cell) in enumerate(zip(table.heads, row, strict=True))
        if cell and place not in (0, last)
    ]
    said = _plain(row[last] + (f" ({'; '.join(others)})" if others else ""))
    first = f"  {_plain(row[0]):<{TERM - 3}} "
    yield from textwrap.wrap(said, WIDTH, initial_indent=first, subsequent_indent=" " * TERM)


def _plain(text: str) -> str:
    return text.replace("`", "")


WORKLOAD, OPERATION, TARGET = "cache", "get", "redis"
"""Names that stand for those of a scenario."""
LASTS = {"never": "instantaneous", "must": "stays; needs `for`", "may": "either; `for` is optional"}


@dataclass(frozen=True)
class Entries:
    """A table: what is explained in the first column, with all that is said of it."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    meaning: int = -1
    """The column that says what it is."""


@dataclass(frozen=True)
class Grammar:
    """Lines that stand as they are."""

    text: str


@dataclass(frozen=True)
class Heading:
    """The title of what follows."""

    text: str


Block = str | Entries | Grammar | Heading


def rules() -> list[Block]:
    """How a rule is written."""
    written = inspect.cleandoc(grammar.__doc__ or "").split("\n\n")
    units = (("time", NS), ("rate", PER_S), ("size", BYTES))
    return [
        Grammar(inspect.cleandoc(next(part for part in written if part.startswith("    rule ")))),
        " ".join(written[-1].split()),
        "For example `cache.response.p95 < 10ms warn 8ms`. A quantity carries its unit:",
        Entries(("quantity", "units"), tuple((name, code(table)) for name, table in units)),
        "With `for`, such as `errors < 5% warn 3% for 10s`, a rule is sustained: 10 s in a row, of which "
        "each window breaks the limit, break it. It may be about " + code(SUSTAINED) + ".",
        "A size with `/s`, `/min` or `/h` is a growth, `%` a share, a number without a unit a count.",
    ]


def metrics() -> list[Block]:
    """What a rule may be about."""
    common = _of_outline("noop")
    everywhere = set(_grouped(common))
    return [
        "A metric may be about the whole `run` (`errors`), a `workload` (`cache.errors`), an `operation` "
        "(`cache.get.errors`) or a source (`redis.cpu`). With a statistic it ends in "
        "`.pNN` (such as `.p99.9`), `.mean` or `.max`.",
        Heading("Of every workload"),
        *_metric_table(common),
        Heading("Of some drivers and engines"),
        *_of_drivers(everywhere),
        "Engine `client`:",
        *_metric_table(_without(_of_outline("noop", engine="client"), everywhere)),
        Heading("Of what a run costs"),
        _resources(everywhere),
        Heading("Of scenarios with faults"),
        *_metric_table(_without(_of_faults(), everywhere)),
        "`availability(window=30d, incidents=1)` is possible too: what that many incidents would leave.",
    ]


def faults() -> list[Block]:
    """What a scenario can break."""
    rows = [
        (
            f"`{kind}`",
            facts.explanation,
            LASTS[facts.lasts],
            code(facts.needs),
            code(facts.takes),
            _acts_on(facts),
        )
        for kind, facts in FAULT_KINDS.items()
    ]
    moments = [(f"`when: {name}`", code(targets)) for name, targets in HOOKS.items()]
    heads = ("kind", "what happens", "how long", "needs", "may have", "acts on")
    return [
        Entries(heads, tuple(rows), meaning=1),
        "A fault can wait for a moment:",
        Entries(("moment", "targets"), tuple(moments)),
    ]


def code(words: Iterable[str]) -> str:
    """Words as the names that they are."""
    return ", ".join(f"`{word}`" for word in words)


def _of_drivers(everywhere: set[str]) -> list[Block]:
    drivers_of: dict[Entries, list[str]] = {}
    for driver in DRIVERS:
        for own in _metric_table(_without(_of_outline(driver), everywhere)):
            drivers_of.setdefault(own, []).append(driver)
    return [
        block
        for own, drivers in drivers_of.items()
        for block in (f"Driver{'s' * (len(drivers) > 1)} {code(drivers)}:", own)
    ]


def _of_outline(driver: str, *, engine: str = "wire", target: str = "") -> dict[str, MetricSpec]:
    facts = DRIVERS[driver]
    names = facts.own_operations or (OPERATION,)
    return metrics_of_outlines([Outline(WORKLOAD, engine, names, target, driver)])


def _of_faults() -> dict[str, MetricSpec]:
    outline = Outline(WORKLOAD, "wire", (OPERATION,), "", "noop")
    return metrics_of_outlines([outline], with_faults=True)


def _resources(everywhere: set[str]) -> Entries:
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
    return Entries(("metric", "unit", "alone (all targets) or after", "meaning"), tuple(rows))


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


def _metric_table(metrics: Mapping[str, MetricSpec]) -> list[Entries]:
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
    return [Entries(("metric", "unit", "", "of", "statistic", "meaning"), tuple(rows))] if rows else []


def _acts_on(facts: FaultFacts) -> str:
    if facts.through_proxy:
        return "the network path"
    return "the process or container" if facts.on_process else ""
