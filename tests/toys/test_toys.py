"""A driver with a service, a fault, an exporter and a report format take part in a run like the product's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import registry
from bench.cli.main import run
from bench.exporters import choice
from bench.judge.verdict import Status, saved
from bench.report import formats
from bench.results.reader import Run
from bench.scenario.fault_kinds import FAULT_KINDS
from chaos import faults
from tests.toys import kv_driver, kv_exporter, kv_fault, kv_report, kv_service

SCENARIO = """\
scenario: stalled_store
purpose: A store that answers nobody for a while loses nothing
workloads:
  - name: keys
    target: kv
    driver: kv
    lanes: 4
    keys: {count: 100, preload: true}
    value: {bytes: 32}
    operations:
      get: {weight: 80, command: [GET, "{key}"]}
      set: {weight: 20, command: [SET, "{key}", "{value}"]}
    arrivals: constant
    rate: 200/s
    deadline: 5s
phases:
  - {name: steady, for: 3s}
faults:
  - {stall: kv, at: 1s, for: 300ms}
sla:
  - keys.errors < 1%
  - keys.hits > 99%
"""


@pytest.fixture
def plugins() -> Iterator[None]:
    """Everything that the files beside this one add."""
    registry.register(kv_service.SERVICE)
    registry.register(kv_driver.DRIVER)
    faults.register("stall", kv_fault.FACTS, kv_fault.IMPLEMENTATION)
    choice.register("lines", kv_exporter.opened)
    formats.register("lines", kv_report.FORMAT)
    yield
    del registry.SERVICES["kv"], registry.KINDS["kv"], registry.DRIVERS["kv"]
    del FAULT_KINDS["stall"], faults.FAULTS["stall"]
    del choice.EXPORTERS["lines"], formats.FORMATS["lines"]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("plugins")
def test_one_scenario_runs_through_everything_that_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KV_URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # another run with faults is none of ours
    monkeypatch.setenv(kv_exporter.VARIABLE, str(tmp_path / "exported"))
    file = tmp_path / "stalled.yaml"
    file.write_text(SCENARIO)
    run(["run", str(file), "--out", str(tmp_path / "results")])
    (folder,) = [path for path in (tmp_path / "results").iterdir() if not path.name.startswith(".")]
    done, verdict = Run.load(folder), saved(folder)
    assert verdict is not None
    assert verdict.status is not Status.FAIL
    kept = {check.metric: check for check in verdict.checks}
    assert kept["keys.hits"].observed == 1.0
    assert done.histogram("response", "keys", "get").sum() > 0
    (fault,) = done.record.faults
    assert (fault.kind, fault.target, fault.took_effect) == ("stall", "kv", True)
    (target,) = done.record.stack.targets
    assert (target.name, target.kind, target.server) == ("kv", "kv", "kv")
    exported = (tmp_path / "exported").read_text().splitlines()
    assert exported[0] == "started"
    assert exported[-2:] == [f"ended {folder.name}", f"judged {verdict.status.name}"]
    assert sum(line.startswith("window ") for line in exported) > 1
    capsys.readouterr()
    assert run(["report", str(folder), "--format", "lines"]) == 0
    assert capsys.readouterr().out == f"stalled_store {verdict.status.name} 2 rules\n"


@pytest.mark.usefixtures("plugins")
def test_what_the_driver_cannot_do_is_refused_in_the_usual_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.yaml"
    text = SCENARIO.replace("target: kv", "target: redis").replace("    deadline: 5s", "    dataset: tpcb")
    file.write_text(text)
    assert run(["validate", str(file)]) != 0
    said = capsys.readouterr()
    assert 'expected the target "kv" for the driver "kv"' in said.out + said.err
    assert "expected dataset only with the driver postgres" in said.out + said.err
