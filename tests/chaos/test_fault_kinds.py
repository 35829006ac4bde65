"""The table of faults: what a scenario may write, and what makes it, each in one place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import run
from bench.scenario.fault_kinds import FAULT_KINDS, FaultFacts
from bench.scenario.load import load_scenario
from chaos.faults import FAULTS, fault_for
from chaos.faults.fault import FaultContext
from chaos.faults.noop import Noop
from chaos.schedule import planned_faults
from tests.chaos.test_faults_in_scenarios import TEXT


class Shiver(Noop):
    """A fault from outside the product."""


@pytest.fixture
def shiver() -> Iterator[str]:
    """A kind that a plug-in has registered."""
    facts = FaultFacts("it trembles", "must", takes=("load",), implementation=f"{__name__}:Shiver")
    FAULT_KINDS.register("shiver", facts)
    yield "shiver"
    FAULT_KINDS.unregister("shiver")


def test_every_kind_that_a_scenario_may_write_is_implemented_once() -> None:
    through_proxy = {kind for kind, facts in FAULT_KINDS.items() if facts.through_proxy}
    assert set(FAULTS) | through_proxy == set(FAULT_KINDS)
    assert not set(FAULTS) & through_proxy


def test_a_kind_from_outside_is_written_and_made_like_any_other(
    shiver: str, around: FaultContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "cold.yaml"
    file.write_text(TEXT + f"  - {{{shiver}: redis, at: 2s, for: 1s, load: 50%}}\n")
    (planned,) = planned_faults(load_scenario(file, environment={}).scenario.faults, seed=1)
    fault = fault_for(planned, around)
    assert isinstance(fault, Shiver)
    assert fault.plan.settings == {"load": 0.5}
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "it trembles" in json.dumps(schema)


def test_a_kind_is_registered_once(shiver: str) -> None:
    with pytest.raises(ValueError, match="the fault shiver is registered already"):
        FAULT_KINDS.register(shiver, FaultFacts("again", "never", implementation=FAULTS["kill"]))
