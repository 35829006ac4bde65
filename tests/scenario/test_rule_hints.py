"""Hints: rules that are allowed, and that the plan answers badly."""

from bench.rules.hints import hints_of, planned_arrivals


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
