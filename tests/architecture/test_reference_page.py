"""docs/reference.md is what the product's own tables say (HOLDFAST_UPDATE_GOLDEN=1 writes it anew)."""

import os

from bench.registry import DRIVERS
from bench.scenario.fault_kinds import FAULT_KINDS
from bench.scenario.rules.grammar import Rule, parse_rule
from bench.scenario.rules.metrics import Outline, metrics_of_outlines
from tests.architecture.reference_page import reference_page
from tests.architecture.sources import ROOT

PAGE = ROOT / "docs" / "reference.md"


def test_the_reference_is_the_one_that_the_tables_give() -> None:
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        PAGE.write_text(reference_page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == reference_page()


def test_the_reference_names_every_metric_driver_and_fault() -> None:
    page = reference_page()
    outlines = [
        Outline("w", engine, (), "redis", driver)
        for driver, facts in DRIVERS.items()
        for engine in facts.engines
    ]
    alone = {
        name.removesuffix(".pNN").removesuffix(".mean").removesuffix(".max")
        for name in metrics_of_outlines(outlines, with_faults=True)
        if not name.startswith(("w.", "redis.", "generator.", "machine."))
    }
    assert alone
    assert {name for name in (*alone, *DRIVERS, *FAULT_KINDS) if f"| `{name}` |" not in page} == set()


def test_the_example_of_the_reference_is_a_rule() -> None:
    example = reference_page().partition("For example `")[2].partition("`")[0]
    assert isinstance(parse_rule(example), Rule)
