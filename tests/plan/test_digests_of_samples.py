"""What the sample scenarios plan, quick and standard, compared with `golden/samples.json`.

A changed digest means that runs of before and after did not offer the same load and may not be compared.
HOLDFAST_UPDATE_GOLDEN=1 writes the file anew, to be read in the diff: a change that means to change plans
shows there which, and every other line must stay.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import run as bench
from bench.scenario.load import discover

SAMPLES = discover([Path(__file__).parents[2] / "scenarios"])
GOLDEN = Path(__file__).parent / "golden" / "samples.json"
FORMS: dict[str, tuple[str, ...]] = {"standard": (), "quick": ("--quick",)}


def planned(file: Path, form: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What `bench plan` says of a sample: its digest, and the faults, which are no part of that."""
    capsys.readouterr()
    assert bench(["plan", str(file), "--json", "--arrivals", "0", *FORMS[form]]) == 0
    plan = json.loads(capsys.readouterr().out)
    return {"digest": plan["digest"], "faults": [in_words(fault) for fault in plan["faults"]]}


def in_words(fault: dict[str, Any]) -> str:
    """A planned fault in one line: "latency redis at 5000000000 ns for 500000000 ns, delay 20000000"."""
    stays = "" if fault["for_ns"] is None else f" for {fault['for_ns']} ns"
    settings = "".join(f", {name} {value}" for name, value in fault["settings"].items())
    return f"{fault['kind']} {fault['target']} at {fault['at_ns']} ns{stays}{settings}"


def test_the_samples_plan_what_they_always_planned(capsys: pytest.CaptureFixture[str]) -> None:
    found = {file.stem: {form: planned(file, form, capsys) for form in FORMS} for file in SAMPLES}
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))
