"""The client engine in phases of load and rest."""

import numpy as np
import pytest

from bench.core.outcome import Outcome
from bench.engine.wire.layout import LOG_RECORD
from bench.plan.compile import compile_plan
from bench.scenario.model import Scenario
from tests.helpers.client_runs import GET, client, run


@pytest.mark.parametrize("arrivals", ["closed", "poisson"])
def test_nothing_is_planned_in_a_rest(server, tmp_path, arrivals) -> None:
    workload = {
        "name": "app",
        "target": "redis",
        "driver": "redis",
        "engine": "client",
        "lanes": 4,
        "pool": 10,
        "keys": {"count": 100},
        "operations": GET,
        "arrivals": arrivals,
        **({} if arrivals == "closed" else {"rate": "500/s"}),
    }
    scenario = {
        "scenario": "rests",
        "purpose": "a test",
        "workloads": [workload],
        "phases": [{"name": "cycles", "for": "800ms", "cycles": 4, "rest": "50%"}],
        "operation_log": True,
    }
    plan = compile_plan(Scenario.model_validate(scenario))
    engine = client(plan, server.target, tmp_path)
    ran = run(engine)
    ran.assert_adds_up()
    assert set(ran.outcomes()) == {Outcome.OK}
    (path, length), *_ = engine.raw_logs()
    planned = np.fromfile(path, dtype=LOG_RECORD, count=length)["planned_ns"]
    assert length == ran.outcomes()[Outcome.OK]
    for stretch in plan.phases[0].stretches():
        inside = (planned >= stretch.start_ns) & (planned < stretch.end_ns)
        assert inside.any() != stretch.is_rest
