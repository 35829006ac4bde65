"""What excuses a run of a test: its own word that others had the processors, and nothing else."""

import pytest

from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.results.reader import Run
from tests.helpers.machine_samples import rows
from tests.helpers.other_work import is_excused, undisturbed, was_held_up
from tests.helpers.synthetic_run import MS, S, SyntheticRun

OK, DROPPED, SLOW = "cache/get/response/ok", "cache/get/response/dropped", "cache/get/service/ok"
BROKEN = {OK: [(MS, 1000), (300 * MS, 500)], DROPPED: [(S, 500)], SLOW: [(MS // 4, 100), (MS, 1400)]}
STARVED = rows(2.0, 0.05, 0.02, waits={"generator": 0.85}, seconds=11)
QUIET = rows(0.5, 0.2, 0.2, waits={}, seconds=11)
RULE = "cache.response.p95 < 10ms"


def folder_of(tmp_path, resources, **fields):
    given = {"sla": [RULE], "samples": BROKEN, "windows": 10} | fields
    samples = [row | {"phase": "steady"} for row in resources]
    return SyntheticRun(resources=samples, **given).load(tmp_path).path


def test_a_run_that_others_held_up_is_excused(tmp_path):
    folder = folder_of(tmp_path, STARVED)
    assert was_held_up(folder)
    assert is_excused(folder)


def test_a_failed_run_of_a_quiet_machine_is_not(tmp_path):
    folder = folder_of(tmp_path, QUIET)
    assert not was_held_up(folder)
    assert not is_excused(folder)


@pytest.mark.parametrize("resources", [STARVED, QUIET], ids=["busy", "quiet"])
def test_what_is_invalid_for_another_reason_is_not_excused_by_other_work(tmp_path, resources):
    reason = {"code": "stray_replies", "severity": "invalid", "message": "replies that nobody asked for"}
    folder = folder_of(tmp_path, resources, record={"anomalies": [reason]})
    assert judge(Run.load(folder)).status is Status.INVALID
    assert not is_excused(folder)


def test_the_first_attempt_that_is_not_disturbed_is_the_one():
    made = []

    def attempt():
        made.append(len(made))
        return made[-1]

    assert undisturbed(attempt, lambda found: found < 1) == 1
    assert made == [0, 1]
    with pytest.raises(pytest.skip.Exception, match="3 runs in a row"):
        undisturbed(attempt, lambda _: True)
    assert len(made) == 5
