"""What `nox -s micro` compares with: this machine's newest baseline, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from tests.micro.saved_ratios import saved_ratios, trouble_with

MACHINE = {
    "node": "here",
    "machine": "x86_64",
    "python_version": "3.13.1",
    "python_implementation": "CPython",
}


def save(storage: Path, number: int, ratio: float, **differing: str) -> None:
    folder = storage / "Linux-CPython-3.13-64bit"
    folder.mkdir(exist_ok=True)
    found = {"name": "test_scanning", "extra_info": {"ratio": ratio}}
    content = {"machine_info": MACHINE | differing, "benchmarks": [found, {"name": "test_other"}]}
    (folder / f"{number:04}_micro.json").write_text(json.dumps(content))


def test_the_newest_baseline_of_this_machine_counts(tmp_path: Path) -> None:
    save(tmp_path, 1, 10.0)
    save(tmp_path, 2, 11.0)
    save(tmp_path, 3, 99.0, node="elsewhere")
    assert saved_ratios(tmp_path, MACHINE) == {"test_scanning": 11.0}
    assert saved_ratios(tmp_path / "nothing", MACHINE) == {}


def test_a_ratio_beyond_the_limit_is_told_with_before_after_and_what_to_do() -> None:
    assert trouble_with("test_scanning", 20.0, 11.0, 2.0) is None
    assert trouble_with("test_scanning", 20.0, None, 2.0) is None
    sentence = trouble_with("test_scanning", 33.0, 11.0, 2.0)
    assert sentence is not None
    assert "33 steps" in sentence
    assert "3.00 times the saved 11" in sentence
    assert "nox -s micro -- --save" in sentence
