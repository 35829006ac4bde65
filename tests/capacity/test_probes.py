"""What a probe asks of a scenario at another rate."""

import pytest

from bench.capacity.probes import LONGEST_NS, Prober, scaling_of
from bench.core.clock import NS_PER_S
from bench.core.errors import UsageError
from bench.scenario.load import load_scenario

CACHE = """
  - name: cache
    target: redis
    driver: redis
    keys: {count: 10}
    operations:
      get: {weight: 3, command: [GET, "{key}"]}
      set: {weight: 1, command: [SET, "{key}", x]}
    arrivals: poisson
    rate: 900/s
"""
WEB = """
  - {name: web, target: api, driver: http, operations: {a: {request: {path: /}}}, arrivals: constant,
     rate: 100/s}
"""
CLOSED = """
  - {name: loop, target: api, driver: http, operations: {a: {request: {path: /}}}, arrivals: closed}
"""


def loaded(tmp_path, *workloads, sla=("cache.response.p95 < 10ms",), more=""):
    rules = "".join(f"  - {rule}\n" for rule in sla)
    path = tmp_path / "shop.yaml"
    path.write_text(
        f"scenario: shop\npurpose: to be searched\nworkloads:{''.join(workloads or (CACHE,))}"
        "phases:\n  - {name: up, for: 1s, measured: false}\n"
        "  - {name: ramp, for: 60s, load: {from: 10%, to: 150%}}\n"
        f"{more}sla:\n{rules}"
    )
    return load_scenario(path)


def prober(tmp_path, *workloads, workload=None, **parts):
    one = loaded(tmp_path, *workloads, **parts)
    return Prober(one.scenario, one.rules, scaling_of(one.scenario, workload))


def probe(tmp_path, rate_per_s, *workloads, longer=0, **parts):
    """The scenario of a probe, loaded as the run of it loads it."""
    asked = prober(tmp_path, *workloads, **parts).plan(rate_per_s, longer)
    return load_scenario(tmp_path / "shop.yaml", asked.overrides), asked


def test_a_probe_has_a_constant_rate_whatever_the_phases_of_the_scenario_are(tmp_path):
    made, asked = probe(tmp_path, 4321.5)
    assert made.scenario.workloads[0].rate_per_s == 4321.5
    assert [(one.name, one.measured, one.load_from, one.load_to) for one in made.scenario.phases] == [
        ("warmup", False, 1.0, 1.0),
        ("probe", True, 1.0, 1.0),
    ]
    assert asked.duration_ns == made.scenario.total_ns == 11 * NS_PER_S


def test_all_workloads_are_scaled_in_proportion(tmp_path):
    made, _ = probe(tmp_path, 2000, CACHE, WEB)
    assert [one.rate_per_s for one in made.scenario.workloads] == [1800, 200]


def test_with_one_named_the_others_keep_their_rates(tmp_path):
    made, _ = probe(tmp_path, 2000, CACHE, WEB, workload="web")
    assert [one.rate_per_s for one in made.scenario.workloads] == [900, 2000]


def test_a_closed_loop_is_refused_with_what_to_write_and_may_run_along(tmp_path):
    with pytest.raises(
        UsageError, match=r"--set workloads\.loop\.arrivals=poisson --set workloads\.loop\.rate="
    ):
        prober(tmp_path, CACHE, CLOSED)
    assert prober(tmp_path, CACHE, CLOSED, workload="cache").scaling.start_per_s == 900


def test_a_minimum_throughput_is_not_judged_where_the_plan_does_not_offer_it(tmp_path):
    sla = ("cache.response.p95 < 10ms", "cache.get.throughput >= 600/s")
    below, asked = probe(tmp_path, 800, sla=sla)  # 600/s of them are gets: chance decides
    assert [rule.text for rule in below.rules] == ["cache.response.p95 < 10ms"]
    assert [one.rule for one in asked.left_out] == ["cache.get.throughput >= 600/s"]
    above, asked = probe(tmp_path, 1000, sla=sla)
    assert [rule.text for rule in above.rules] == list(sla)
    assert not asked.left_out


def test_a_capacity_below_a_minimum_throughput_does_not_meet_it(tmp_path):
    asked = prober(tmp_path, sla=("cache.response.p95 < 10ms", "cache.throughput >= 600/s"))
    assert asked.unmet(500) == ["cache.throughput >= 600/s"]
    assert asked.unmet(650) == []


def test_growth_over_time_is_not_judged_by_a_probe(tmp_path):
    made, asked = probe(tmp_path, 900, sla=("cache.response.p95 < 10ms", "redis.memory_slope < 1MB/min"))
    assert [rule.text for rule in made.rules] == ["cache.response.p95 < 10ms"]
    assert [one.rule for one in asked.left_out] == ["redis.memory_slope < 1MB/min"]


def test_a_probe_measures_as_long_as_its_percentiles_need(tmp_path):
    rare = ("cache.set.response.p99.9 < 10ms",)  # 10 000 samples, of which one in four is a set
    assert probe(tmp_path, 900, sla=rare)[0].scenario.measured_ns > 80 * NS_PER_S
    assert probe(tmp_path, 90_000, sla=rare)[0].scenario.measured_ns == 10 * NS_PER_S
    assert probe(tmp_path, 90_000, sla=rare, longer=2)[0].scenario.measured_ns == 40 * NS_PER_S


def test_no_rate_is_tried_that_has_too_few_samples_for_the_longest_probe(tmp_path):
    asked = prober(tmp_path, sla=("cache.response.p99.9 < 10ms",))
    made = load_scenario(tmp_path / "shop.yaml", asked.plan(asked.lowest_per_s()).overrides)
    assert 0.9 * LONGEST_NS < made.scenario.measured_ns <= LONGEST_NS
    with pytest.raises(UsageError, match="too long for a probe"):
        prober(tmp_path, WEB, sla=("web.response.p99.99 < 1s",)).lowest_per_s()


def test_rules_that_no_rate_breaks_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"sla.\+=cache.response.p95 < 10ms"):
        prober(tmp_path, sla=("cache.throughput >= 100/s",)).lowest_per_s()


def test_faults_are_refused(tmp_path):
    with pytest.raises(UsageError, match="without faults"):
        prober(tmp_path, more="faults:\n  - {kill: redis, at: 5s}\n")
