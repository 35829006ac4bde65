"""Small results folders for assessments: runs with literal figures, made by the real writer."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.assess.assessment import Assessment, assess
from bench.assess.requirements import Proof, Requirement, Requirements
from bench.assess.requirements_file import load_requirements
from bench.assess.sources import ScenarioFiles, read_scenarios
from bench.core.clock import NS_PER_S
from tests.helpers.synthetic_run import MS, SyntheticRun

NOW_NS = int(datetime(2026, 2, 10, tzinfo=UTC).timestamp()) * NS_PER_S
HOUR_NS = 3600 * NS_PER_S
DAY_NS = 24 * HOUR_NS
SHIPPED = load_requirements(Path(__file__).parents[2] / "scenarios" / "requirements.yaml")
LATENCY = Requirement(
    key="latency",
    area="Redis",
    demand="P95 below 10 ms",
    proofs=(Proof(scenario="redis_latency", rule="cache.response.p95 < 10ms warn 8ms"),),
)
NO_FILES = ScenarioFiles({}, ())


def write_run(
    out: Path,
    scenario: str = "redis_latency",
    *,
    age_ns: int = HOUR_NS,
    p95_ms: int = 1,
    name_id: str = "0a1b2c",
    sla: tuple[str, ...] = ("cache.response.p95 < 10ms",),
    quick: bool = False,
    overrides: tuple[str, ...] = (),
    text: str | None = None,
    seed: int = 1,
    interrupted: bool = False,
    run: dict[str, Any] | None = None,
    **record: Any,
) -> Path:
    """A run of 500 answers in 20 windows, one in twelve after `p95_ms`; `run`: fields of SyntheticRun."""
    at_ns = NOW_NS - age_ns
    utc = datetime.fromtimestamp(at_ns / NS_PER_S, UTC)
    text = text if text is not None else scenario_text(scenario)
    sections = {
        "scenario": {
            "name": scenario,
            "purpose": "to be assessed",
            "text": text,
            "digest": hashlib.sha256(text.encode()).hexdigest(),
            "path": f"scenarios/{scenario}.yaml",
        },
        "started": {"utc": utc.isoformat(), "monotonic_ns": NS_PER_S, "wall_ns": at_ns},
        "plan": {"digest": "p" * 64, "seed": seed, "quick": quick, "overrides": list(overrides)},
        **record,
    }
    made = SyntheticRun(
        **{
            "sla": list(sla),
            "samples": {"cache/get/response/ok": [(MS // 2, 460), (p95_ms * MS, 40)]},
            "windows": 20,
            **(run or {}),
        },
        record=sections,
        interrupted=interrupted,
    )
    return made.write(out, f"{utc:%Y%m%dt%H%M%Sz}-{scenario}-{name_id}")


def scenario_text(name: str, rate: int = 100, comment: str = "") -> str:
    return (
        f"{comment}scenario: {name}\npurpose: to be assessed\n"
        "workloads:\n  - name: cache\n    target: redis\n"
        '    driver: redis\n    keys: {count: 10}\n    operations: {get: {command: [GET, "{key}"]}}\n'
        f"    arrivals: poisson\n    rate: {rate}/s\nphases:\n  - {{name: steady, for: 10s}}\n"
        "sla:\n  - cache.response.p95 < 10ms\n"
    )


def write_scenario(folder: Path, name: str = "redis_latency", **parts: Any) -> ScenarioFiles:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(scenario_text(name, **parts))
    return read_scenarios([folder])


def assessed(
    results: Path, *requirements: Requirement, files: ScenarioFiles | None = None, **parts: Any
) -> Assessment:
    """The assessment at NOW_NS, with runs of 7 days; scenario files match unless others are given."""
    if files is None:
        files = write_scenario(results.parent / f"{results.name}-scenarios")
    results.mkdir(exist_ok=True)
    wanted = Requirements(capacities=SHIPPED.capacities, requirements=requirements or (LATENCY,))
    return assess(results, files, NOW_NS, 7 * DAY_NS, wanted, **parts)
