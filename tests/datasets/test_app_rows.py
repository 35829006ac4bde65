"""The contents of the built-in sets are the same everywhere, and their sums are known."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from bench.datasets import dataset
from bench.datasets.app import AppRows
from bench.datasets.tpcb import known_figures
from bench.scenario.load import load_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def test_scale_1_of_app_is_what_it_always_was() -> None:
    rows = AppRows(1)
    digest = hashlib.sha256()
    for part in (rows.orders(), rows.events(), rows.accounts()):
        for text in part:
            digest.update(text.encode())
    assert rows.figures == {
        "accounts": 10_000,
        "account_keys": 50_005_000,
        "orders": 50_000,
        "order_keys": 1_250_025_000,
        "events": 50_000,
        "event_keys": 1_250_025_000,
        "order_accounts": 166_556_010,
        "total_cents": 637_756_898,
        "counted_orders": 50_000,
        "ordered_cents": 637_756_898,
        "event_accounts": 166_556_010,
        "event_orders": 824_552_963,
        "event_cents": 421_087_523,
    }
    assert digest.hexdigest() == "060d309da307fc8c09791cb12841178f324eb50c7c24c686b3493ac6b3ad3c03"


def test_a_payload_is_json_whose_lines_add_up() -> None:
    lines = next(AppRows(1).events()).splitlines()
    kinds = set()
    for line in lines[:2000]:
        number, account, order, kind, payload, _ = line.split("\t")
        kinds.add(kind)
        content = json.loads(payload)
        assert 1 <= int(account) <= 10_000
        assert ("order" in content) == (order != r"\N")
        if "order" in content:
            assert content["order"]["id"] == int(number) == int(order)
            total = sum(one["quantity"] * one["cents"] for one in content["order"]["lines"])
            assert content["order"]["total_cents"] == total > 0
    assert len(kinds) == 5


@pytest.mark.parametrize("scale", [1, 3, 10_000])
def test_the_counts_that_scenarios_rely_on_are_those_of_the_load(scale: int) -> None:
    figures = known_figures(scale)
    assert figures["accounts"] == dataset.accounts_of(scale) == 100_000 * scale
    assert figures["tellers"] == dataset.tellers_of(scale) == 10 * scale
    assert figures["branches"] == dataset.branches_of(scale) == scale
    rows = AppRows(scale)
    assert rows.figures["accounts"] == dataset.accounts_of(scale, "app") == 10_000 * scale
    assert rows.figures["orders"] == dataset.orders_of(scale) == 50_000 * scale
    assert rows.figures["events"] == dataset.events_of(scale) == 50_000 * scale
    assert max(figures["accounts"], figures["tellers"]) < 2**31


def test_the_sample_scenario_searches_for_what_payloads_hold() -> None:
    workload = load_scenario(SCENARIOS / "postgres_mixed.yaml").scenario.workloads[0]
    asked = re.findall(r"jsonb_build_object\('(\w+)'", str(workload.operations["search"].sql))
    content = next(
        found
        for line in next(AppRows(1).events()).splitlines()
        if "order" in (found := json.loads(line.split("\t")[4]))
    )
    for key in asked:
        content = content[key]
    assert isinstance(content, int)
