"""A distribution that is installed adds a driver with a service, a fault, an exporter and a report format.

It is files of its own and the metadata that every installer writes; nothing of the product is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.judge.verdict import Status, saved
from bench.results.reader import Run
from tests.helpers.scenarios import GOOD
from tests.toys import kv_exporter

ROOT = Path(__file__).parents[2]
SCENARIO = """\
scenario: stalled_store
purpose: A store that answers no client for a while loses nothing
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


ANNOUNCED = {
    "drivers": ("kv", "kv_driver:DRIVER"),
    "services": ("kv", "kv_service:SERVICE"),
    "faults": ("stall", "kv_fault:FACTS"),
    "exporters": ("lines", "kv_exporter:opened"),
    "reports": ("lines", "kv_report:FORMAT"),
}
"""Group of entry points -> name of an entry, and where the plug-in has it."""


class Installed:
    """Commands of `bench` in an environment in which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._site = folder / "site"

    def distribution(self, name: str, announced: Mapping[str, tuple[str, str]]) -> None:
        """Install what has the metadata of a distribution; announced as ANNOUNCED is."""
        metadata = self._site / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"[holdfast.{group}]\n{entry} = {path}\n" for group, (entry, path) in announced.items()]
        (metadata / "entry_points.txt").write_text("\n".join(lines))

    def module(self, name: str, text: str) -> None:
        """Install a module."""
        (self._site / f"{name}.py").write_text(text)

    def __call__(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")} | {
            "PYTHONPATH": f"{self._site}{os.pathsep}{ROOT}",
            "XDG_STATE_HOME": str(self.folder / "state"),  # another run with faults does not concern this one
            kv_exporter.VARIABLE: str(self.folder / "exported"),
        }
        command = [sys.executable, "-m", "bench", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def bench(tmp_path: Path) -> Installed:
    """Nothing is installed beside the product; a scenario lies there."""
    (tmp_path / "stalled.yaml").write_text(SCENARIO)
    return Installed(tmp_path)


@pytest.fixture
def toys(bench: Installed) -> Installed:
    """The files beside this one are installed as the package `holdfast_kv`."""
    bench.distribution("holdfast-kv", {g: (n, f"holdfast_kv.{path}") for g, (n, path) in ANNOUNCED.items()})
    package = bench.folder / "site" / "holdfast_kv"
    package.mkdir()
    for file in Path(__file__).parent.glob("kv_*.py"):
        shutil.copy(file, package)
    return bench


@pytest.mark.timeout(300)
def test_one_scenario_runs_through_everything_that_was_added(toys: Installed) -> None:
    ran = toys("run", "stalled.yaml", "--out", "results")
    assert ran.returncode in (0, 5), ran.stderr
    (folder,) = [path for path in (toys.folder / "results").iterdir() if not path.name.startswith(".")]
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
    exported = (toys.folder / "exported").read_text().splitlines()
    assert exported[0] == "started"
    assert exported[-2:] == [f"ended {folder.name}", f"judged {verdict.status.name}"]
    assert sum(line.startswith("window ") for line in exported) > 1
    reported = toys("report", folder, "--format", "lines")
    assert reported.stdout == f"stalled_store {verdict.status.name} 2 rules\n"


def test_what_the_driver_cannot_do_is_refused_in_the_usual_words(toys: Installed) -> None:
    file = toys.folder / "stalled.yaml"
    text = SCENARIO.replace("target: kv", "target: redis").replace("    deadline: 5s", "    dataset: tpcb")
    file.write_text(text)
    refused = toys("validate", file)
    assert refused.returncode == 3
    assert 'expected the target "kv" for the driver "kv"' in refused.stderr
    assert "expected dataset only with the driver postgres" in refused.stderr


def test_help_imports_no_plug_in(bench: Installed) -> None:
    bench.distribution("loud", dict.fromkeys(ANNOUNCED, ("loud", "loud:ENTRY")))
    bench.module("loud", "raise SystemExit('the plug-in was imported')")
    assert (shown := bench("--help")).returncode == 0
    assert "imported" not in shown.stdout + shown.stderr


def test_a_broken_plug_in_is_named_and_stops_only_what_needs_it(bench: Installed) -> None:
    bench.distribution(
        "holdfast-kv", {"drivers": ("kv", "missing:DRIVER"), "faults": ("stall", "empty:NONE")}
    )
    bench.module("empty", "NONE = None")
    good = bench.folder / "good.yaml"
    good.write_text(GOOD)
    checked = bench("validate", good)
    assert checked.returncode == 0, checked.stderr
    refused = bench("validate", good, "stalled.yaml")
    assert refused.returncode == 3
    driver, fault = "to import the driver kv from missing:DRIVER", "empty:NONE to be the fault stall"
    for expected, found in (
        (driver, "ModuleNotFoundError: No module named 'missing'"),
        (fault, "a NoneType"),
    ):
        assert f"the plug-in holdfast-kv 1.0 {expected}, found {found}; repair or" in refused.stderr
    schema = bench("schema")  # it lists all drivers, so it is without this one
    assert schema.returncode == 0
    assert '"kv"' not in schema.stdout
    assert "bench: the plug-in holdfast-kv 1.0: expected to import the driver kv" in schema.stderr


def test_a_broken_report_format_is_named_where_it_is_asked_for(bench: Installed) -> None:
    bench.distribution("holdfast-kv", {"reports": ("lines", "missing:FORMAT")})
    asked = bench("report", "results", "--format", "lines")
    assert asked.returncode == 2
    assert asked.stderr.count("to import the report format lines from missing:FORMAT") == 1


def test_a_name_that_is_taken_is_refused(bench: Installed) -> None:
    both = {"drivers": ("redis", "first:DRIVER"), "reports": ("lines", "first:FORMAT")}
    bench.distribution("first", both)
    bench.distribution("second", {"reports": ("lines", "second:FORMAT")})
    bench.module("first", "from bench.report.formats import Format\nFORMAT = Format('.a', 'first:none')")
    shown = bench("schema")
    assert shown.returncode == 0
    expected = "bench: the plug-in first 1.0: expected a name that is free for its driver, found redis"
    assert f"{expected}, which Holdfast has; it is ignored" in shown.stderr
    shown = bench("report", "--help")
    assert "|lines]" in shown.stdout
    assert "found lines, which the plug-in first 1.0 has; it is ignored" in shown.stderr
    assert "the plug-in second 1.0: expected a name that is free for its report format" in shown.stderr
