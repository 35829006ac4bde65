"""Runs with faults and checks of data, on servers of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results.run_record import RunRecord
from bench.run.progress import Silent
from bench.run.session import Session
from bench.scenario.load import load_scenario
from bench.stack.probes.health import probe
from bench.stack.stack import Stack
from bench.stack.target import Target
from chaos.plugin import Chaos
from tests.helpers.waiting import eventually

Meddle = Callable[[Mapping[str, Target], int], None]


class Meddled(Chaos):
    """Somebody changes the data when the load is over, before it is read back."""

    def __init__(self, targets: Mapping[str, Target], meddle: Meddle) -> None:
        super().__init__()
        self._targets, self._meddle = targets, meddle

    def finish(self, record: RunRecord, folder: Path) -> RunRecord:
        assert self._integrity is not None
        for check in self._integrity._checks:
            if (watch := getattr(check, "_watch", None)) is not None:
                watch.stop()  # its clients would write over what is changed here
        for name, target in self._targets.items():  # what a fault has hit may still be coming back
            eventually(lambda target=target: probe(target, 1.0).state != "down", f"{name} answers")
        self._meddle(self._targets, record.started.run_label or 0)
        return super().finish(record, folder)


@dataclass(frozen=True)
class Ran:
    """What is left of a run."""

    folder: Path
    record: dict[str, Any]

    def entry(self, workload: str, check: str = "acknowledged_writes") -> dict[str, Any]:
        """What the check of a workload found."""
        (found,) = [
            one for one in self.record["integrity"] if (one["workload"], one["check"]) == (workload, check)
        ]
        return found


def run(stack: Stack, text: str, out: Path, meddle: Meddle = lambda targets, run: None) -> Ran:
    """Run a scenario's text."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / "scenario.yaml"
    file.write_text(text, encoding="utf-8")
    session = Session(stack, out, Silent(), plugins=lambda _: [Meddled(stack.targets(), meddle)])
    folder = session.run(load_scenario(file))
    return Ran(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))
