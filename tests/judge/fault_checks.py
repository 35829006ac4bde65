"""Runs with faults, made by hand and judged by one rule."""

from pathlib import Path
from typing import Any

from bench.judge.judge import judge
from bench.judge.verdict import Check, Verdict
from tests.helpers.fault_run import FaultRun, fault, recovery


def verdict(tmp_path: Path, rule: str, **parts: Any) -> Verdict:
    return judge(FaultRun(sla=[rule], **parts).load(tmp_path))


def check(tmp_path: Path, rule: str, **parts: Any) -> Check:
    return verdict(tmp_path, rule, **parts).checks[-1]


ONE = {"faults": [fault(0, 2)], "recoveries": [recovery(0, 2, 0.3, 0.4, 2.5)]}
