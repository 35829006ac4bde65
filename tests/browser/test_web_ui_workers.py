"""Master and workers of Locust as a user starts them: one run of all, and what a lost worker means."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.ui_process import UiProcess, is_measuring

pytestmark = [pytest.mark.timeout(400), pytest.mark.long]


def test_two_workers_make_one_run_and_a_lost_one_makes_it_invalid(brief: Path, tmp_path: Path) -> None:
    ui = UiProcess(tmp_path / "results", "--processes", "2", scenarios=brief)
    try:
        ui.until(lambda: ui.ask("GET", "/worker-count").json["worker_count"] == 2, "both workers are ready")
        assert ui.start(scenario="brief").json["success"]
        state = ui.until_over()
        record = json.loads((ui.out / state["run"] / "run.json").read_text())
        assert len(record["workers"]) == 2
        (workload,) = record["workloads"]
        measured = sum(count["planned"] for count in workload["counts"] if count["measured"])
        assert ui.numbers()["stats"][-1]["num_requests"] == measured

        assert ui.start(scenario="brief", duration="8s").json["success"]
        ui.until(lambda: is_measuring(ui), "a run is measured")
        victim = next(
            one for one in ui.family() if one.ppid() == ui.process.pid and "locust" in one.cmdline()
        )
        victim.kill()
        state = ui.until_over()
        assert state["headline"] == "INVALID"
        (because,) = [c["because"] for c in state["verdict"]["checks"] if "was lost" in c["because"]]
        lost = next(worker["name"] for worker in state["workers"] if worker["state"] == "missing")
        assert lost in because
        assert " for 10 s; its part of the load is missing from then on" in because
    finally:
        ui.close()
