"""Runs made by hand, judged by one rule."""

from bench.judge.judge import judge
from tests.helpers.synthetic_run import SyntheticRun

OK = "cache/get/response/ok"
SERVICE = "cache/get/service/ok"


def only(tmp_path, **fields):
    """The single check of a run with a single rule."""
    verdict = judge(SyntheticRun(**fields).load(tmp_path))
    (check,) = verdict.checks
    assert verdict.status is check.status
    return check
