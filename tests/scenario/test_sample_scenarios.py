"""The scenarios that come with the product are good, and carry what the acceptance criteria ask."""

import json
import re
from pathlib import Path

import pytest

from bench.cli.session_opening import load_for, named_stack
from bench.scenario.load import discover, load_scenario
from bench.scenario.model import json_schema
from bench.scenario.rules.lint import hints_of

FOLDER = Path(__file__).parents[2] / "scenarios"
SAMPLES = discover([FOLDER])
ACCEPTANCE = {
    "redis_latency": {"cache.response.p95 < 10ms warn 8ms", "cache.response.p50 < 50ms"},
    "redis_throughput": {"cache.throughput >= 1000/s", "cache.response.p50 < 50ms"},
    "redis_pubsub": {
        "messages.end_to_end.p95 < 10ms",
        "messages.lost_messages == 0",
        "messages.duplicate_messages == 0",
        "messages.reordered_messages == 0",
    },
    "redis_client": {
        "app.pool_utilization < 100% warn 80%",
        "app.leaked_connections == 0",
        "app.response.p95 < 10ms warn 8ms",
    },
    "postgres_mixed": {
        "shop.throughput > 20/s",
        "shop.response.p95 < 100ms warn 80ms",
        "shop.response.p50 < 50ms",
    },
    "postgres_tpcb": {"bank.throughput > 20/s"},
    "api_load": {
        "web.throughput > 50/s",
        "web.response.p95 < 500ms warn 400ms",
        "web.errors < 5% warn 3%",
        "web.response.p50 < 50ms",
        "api.cpu < 80%",
    },
    "api_journey_client": {"journey.pool_utilization < 100% warn 80%", "journey.leaked_connections == 0"},
    "api_locust_journey": {
        "journey.throughput > 50/s",
        "journey.response.p95 < 500ms warn 400ms",
        "journey.errors < 5% warn 3%",
    },
    "memory_growth": {"redis.memory_growth < 100MB warn 75MB", "redis.memory_slope < 10MB/min", "cpu < 80%"},
    "pool_pressure": {"app.pool_utilization < 100% warn 80%", "app.leaked_connections == 0"},
    "everything": {"web.response.p95 < 500ms warn 400ms", "bank.response.p95 < 100ms warn 80ms", "cpu < 80%"},
}


def test_memory_is_looked_at_over_fifty_cycles_of_load_and_rest() -> None:
    phases = load_scenario(FOLDER / "memory_growth.yaml").scenario.phases
    assert [phase.cycles for phase in phases if phase.measured] == [50]


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_a_sample_is_named_like_its_file_and_gives_no_hint(file: Path) -> None:
    for quick in (False, True):
        loaded = load_for(named_stack(None, [file]), file, quick=quick)
        assert loaded.scenario.scenario == file.stem
        assert hints_of(loaded.scenario, loaded.rules, loaded.topology) == []


@pytest.mark.parametrize("name", sorted(ACCEPTANCE))
def test_a_sample_carries_its_acceptance_rules(name: str) -> None:
    assert ACCEPTANCE[name] <= set(load_scenario(FOLDER / f"{name}.yaml").scenario.sla)


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_a_sample_names_the_schema_for_editors(file: Path) -> None:
    schema = "../" * len(file.parent.relative_to(FOLDER).parts) + "scenario.schema.json"
    assert file.read_text().startswith(f"# yaml-language-server: $schema={schema}\n")


def test_the_stored_schema_is_the_one_that_the_models_give() -> None:
    """Written by `bench schema > scenarios/scenario.schema.json`."""
    assert json.loads((FOLDER / "scenario.schema.json").read_text()) == json_schema()


def test_every_scenario_in_the_readme_is_good(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(scenario:.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        load_scenario(file)


def test_the_readme_names_every_key_of_the_format() -> None:
    text = (FOLDER / "README.md").read_text()
    schema = json_schema()
    for part in [schema, *schema["$defs"].values()]:
        for key in part.get("properties", {}):
            assert f"`{key}`" in text, key
