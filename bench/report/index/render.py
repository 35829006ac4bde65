"""The page over a folder of runs: how they came out, each scenario's trend, and every run with its links."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.html.page import Html, badge, element, page, section
from bench.report.index.run_table import outcome, outcomes, run_table, scenarios
from bench.report.index.scenario_table import scenario_tables
from bench.report.index.trends import histories
from bench.report.timestamps import clock_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.report.index.entry import RunEntry

HERE = Path(__file__).parent
PAGE = "index.html"
FEW = 2
"""Up to so many runs there is nothing to filter."""


def render(entries: Sequence[RunEntry], base: Path, name: str) -> str:
    """The whole page. `entries`: newest first, at least one; `base`: the folder that it will stand in, from
    which its links go; `name`: what the folder of runs is called in its title.
    """
    body = element(
        "main",
        element("h1", f"Runs in {name}"),
        element("p", _summary(entries), class_="soft"),
        _cards(entries),
        section("Scenarios", scenario_tables(histories(entries))),
        section("All runs", _filters(entries), run_table(entries, base)),
    )
    styles = [_source("index.css"), _rules(entries)]
    return page(f"Runs in {name}", body, scripts=[_source("shown_count.js")], styles=styles)


def _summary(entries: Sequence[RunEntry]) -> str:
    count, kinds = len(entries), len(scenarios(entries))
    runs = f"{count} run{'s' if count > 1 else ''} of {kinds} scenario{'s' if kinds > 1 else ''}"
    return f"{runs}, the newest of {clock_text(entries[0].utc)}"


def _cards(entries: Sequence[RunEntry]) -> Html:
    counts = Counter(outcome(entry) for entry in entries)
    cards = [
        element("div", element("div", counts[word], class_="figure"), badge(word), class_="card")
        for word in outcomes(entries)
    ]
    return element("div", cards, class_="cards")


def _filters(entries: Sequence[RunEntry]) -> Html | None:
    """Two lists to choose from. The style sheet does the choosing; the script only counts."""
    if len(entries) <= FEW:
        return None
    chosen = [
        _choice("scenario", "Scenario", "all scenarios", scenarios(entries)),
        _choice("outcome", "Status", "every status", outcomes(entries)),
        element("output", id="shown", class_="soft small", for_="scenario outcome"),
    ]
    return element("div", chosen, class_="filters screen-only")


def _choice(name: str, label: str, everything: str, words: Sequence[str]) -> Html:
    options = [element("option", everything, value="")]
    options += [element("option", word, value=f"{name[0]}{n}") for n, word in enumerate(words)]
    return element("label", label, " ", element("select", options, id=name, autocomplete="off"))


def _rules(entries: Sequence[RunEntry]) -> str:
    """The rows that are hidden while something is chosen: by numbers, no text of a run comes in here."""
    lines = []
    for name, words in (("scenario", scenarios(entries)), ("outcome", outcomes(entries))):
        for number in range(len(words)):
            key = f"{name[0]}{number}"
            chosen = f'main:has(#{name} option[value="{key}"]:checked)'
            lines.append(f"{chosen} .runs tbody tr:not(.{key}) {{ display: none; }}")
    return "@media screen {\n" + "\n".join(lines) + "\n}\n"


@cache
def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
