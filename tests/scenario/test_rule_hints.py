"""Hints: rules that are allowed, and that the plan answers badly."""

import pytest

from bench.core.errors import ScenarioError
from bench.scenario.rules.lint import hints_before_a_run, hints_of, planned_arrivals


def _hints(loaded) -> str:
    return "\n".join(hints_of(loaded.scenario, loaded.rules))


def test_a_plan_with_margin_gives_no_hint(load, good) -> None:
    assert _hints(load(good + "  - cache.throughput >= 1000/s\n")) == ""


def test_a_throughput_rule_at_the_planned_rate_is_pointed_out(load, good) -> None:
    assert "too close to the limit" in _hints(load(good + "  - cache.throughput >= 1200/s\n"))


def test_the_load_of_measured_phases_counts(load, good) -> None:
    text = good.replace("for: 30s", "for: 30s, load: {from: 0%, to: 100%}")
    assert "600/s" in _hints(load(text + "  - cache.throughput >= 1000/s\n"))


def test_an_operation_has_its_share_of_the_rate(load, good) -> None:
    loaded = load(good + "  - cache.set.throughput >= 300/s\n")
    assert "240/s" in _hints(loaded)
    assert planned_arrivals(loaded.scenario, loaded.rules[1].metric) == 1200 * 30 * 0.2


def test_a_percentile_without_enough_samples_is_pointed_out(load, good) -> None:
    hints = _hints(load(good + "  - cache.response.p99.99 < 1s\n"))
    assert "needs 100000 samples, and the plan has about 36000" in hints


def test_a_rule_that_asks_for_the_worse_direction_is_pointed_out(load, good) -> None:
    assert "lower is better" in _hints(load(good + "  - cache.errors > 1%\n"))


def test_a_closed_loop_has_no_planned_rate(load, good) -> None:
    text = good.replace("poisson", "closed").replace("    rate: 1200/s\n", "")
    assert _hints(load(text + "  - cache.throughput >= 1000000/s\n")) == ""


def test_tails_and_availability_of_a_closed_loop_are_better_asked_at_planned_times(load, good) -> None:
    closed = good.replace("poisson", "closed").replace("    rate: 1200/s\n", "")
    for rule in ("cache.response.p99 < 10ms", "cache.availability(window=10s) >= 99%"):
        assert "ask at planned times" in _hints(load(closed + f"  - {rule}\n"))
        assert "ask at planned times" not in _hints(load(good + f"  - {rule}\n"))


def test_a_window_longer_than_the_run_is_pointed_out(load, good) -> None:
    assert "longer than the measured time" in _hints(load(good + "  - availability(window=60s) >= 99%\n"))


def test_a_scenario_without_rules_is_pointed_out(load, good) -> None:
    assert "the verdict is INCONCLUSIVE" in _hints(load(good.partition("sla:")[0] + "sla: []\n"))


def test_a_placeholder_in_an_expected_text_is_pointed_out(load, good) -> None:
    head, _, rest = good.partition("workloads:")
    web = (
        "workloads:\n  - name: cache\n    target: api\n    driver: http\n    parameters: {item: {count: 9}}\n"
        "    operations: {read: {request: {path: '/{item}', expect: {contains: 'no {item}'}}}}\n"
        "    arrivals: poisson\n    rate: 1200/s\n"
    )
    hints = _hints(load(head + web + rest[rest.index("phases:") :]))
    assert 'contains "no {item}" as it stands' in hints


def test_settings_without_effect_are_pointed_out(load, good) -> None:
    text = good.replace("weight: 20", "weight: 0").replace("{key}", "k").replace(", measured: false", "")
    hints = _hints(load(text))
    assert "no operation uses {key}" in hints
    assert "operation set has weight 0" in hints
    assert "no phase has measured: false" in hints


def test_a_share_that_so_few_arrivals_cannot_resolve_is_pointed_out(load, good) -> None:
    short = ["workloads.cache.rate=50/s", "phases.steady.for=5s", "sla=[cache.errors < 1%]"]
    (hint,) = hints_before_a_run(*scenario_and_rules(load(good, short)))
    assert hint == (
        'rule "cache.errors < 1%": to judge it needs 300 arrivals, and the plan has about 250 in measured '
        "time; measure longer or raise the rate, else the verdict is INCONCLUSIVE"
    )
    assert hint in hints_of(*scenario_and_rules(load(good, short)))
    for rule, needed in (("cache.availability(window=1s) >= 99%", 300), ("cache.get.errors < 0.5%", 600)):
        (hint,) = hints_before_a_run(*scenario_and_rules(load(good, [*short[:2], f"sla=['{rule}']"])))
        assert f"needs {needed} arrivals" in hint
    longer = [*short[:1], "phases.steady.for=6s", short[2]]
    assert hints_before_a_run(*scenario_and_rules(load(good, longer))) == []


def test_a_plan_without_an_arrival_is_pointed_out(load, good) -> None:
    loaded = load(good, ["sla=[]", "workloads.cache.rate=1/min"])
    hint = (
        "workload cache: the plan has about 0.5 arrivals in measured time; raise the rate or measure longer"
    )
    assert hints_before_a_run(*scenario_and_rules(loaded)) == [hint]


def test_lanes_that_the_rate_outgrows_within_the_rules_are_pointed_out(load, good) -> None:
    few = ["workloads.cache.lanes=4", "workloads.cache.rate=1000/s"]
    (hint,) = hints_before_a_run(*scenario_and_rules(load(good, [*few, "sla=[cache.response.p50 < 10ms]"])))
    assert hint == (
        "workload cache: if answers take 10 ms, which the rules allow, 1 000/s need 10 lanes, and there "
        "are 4: then arrivals wait for them; add some, or lower the rate"
    )
    for rules in (
        "[cache.response.p50 < 4ms]",
        "[cache.response.p95 < 10ms]",
        "[cache.get.service.p50 < 10ms]",
    ):
        assert hints_before_a_run(*scenario_and_rules(load(good, [*few, f"sla={rules}"]))) == []


def test_a_quick_run_is_not_told_that_it_has_few_samples(load, good) -> None:
    loaded = load(good, ["workloads.cache.rate=50/s", "phases.steady.for=5s", "sla=[cache.errors < 1%]"])
    assert hints_before_a_run(*scenario_and_rules(loaded), quick=True) == []


def scenario_and_rules(loaded):
    return loaded.scenario, loaded.rules


def test_a_text_that_is_expected_in_an_encoded_body_is_pointed_out(load, good) -> None:
    head, _, rest = good.partition("workloads:")
    web = (
        "workloads:\n  - name: cache\n    target: api\n    driver: http\n"
        "    headers: {accept-encoding: gzip}\n"
        "    operations: {read: {request: {path: /, expect: {contains: ok}}}}\n"
        "    arrivals: poisson\n    rate: 1200/s\n"
    )
    hints = _hints(load(head + web + rest[rest.index("phases:") :]))
    assert "operation read asks for an encoded body and expects text in it: bodies are not decoded" in hints


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("errors < 5% for 31s", "expected a duration of at most 30 s, the longest measured time in a row"),
        ("errors < 5% for 100ms", "expected a duration of at least one window, here 500 ms"),
        ("dropped == 0 for 10s", "expected no duration with =="),
        ("dropped < 5 for 10s", "expected for with one of response,"),
    ],
)
def test_a_duration_that_no_stretch_of_the_run_can_have_is_refused(load, good, rule: str, said: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        load(good, ["phases.steady.for=30s", f'sla=["{rule}"]'])
    (problem,) = refused.value.problems
    assert said in str(problem)


def test_measured_phases_in_a_row_count_together_for_a_duration(load, good) -> None:
    more = ["phases.steady.for=20s", "phases.+={name: more, for: 20s}", 'sla=["errors < 5% for 35s"]']
    assert load(good, more).rules[0].sustained_ns == 35_000_000_000
