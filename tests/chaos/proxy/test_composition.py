"""Settings and combinations that are refused before anything happens."""

import pytest

from bench.scenario.fault_kinds import FAULT_KINDS
from chaos.proxy.toxic import DOWN, UP, ToxicError
from chaos.proxy.toxics import KINDS, Path, refuse_conflicts, toxic_of

LEAST = {
    "latency": {"delay": 1},
    "bandwidth": {"rate": 1},
    "reset": {},
    "black_hole": {},
    "slow_close": {"delay": 1},
    "limit_data": {"bytes": 1},
    "refuse": {},
    "slicer": {"bytes": 1},
}


def test_every_kind_of_a_scenario_that_needs_the_proxy_is_there_with_its_settings():
    through = {kind: facts for kind, facts in FAULT_KINDS.items() if facts.through_proxy}
    assert set(through) == set(KINDS) == set(LEAST)
    for kind, facts in through.items():
        assert set(facts.needs + facts.takes) <= set(KINDS[kind].takes)


@pytest.mark.parametrize(
    ("kind", "settings", "where"),
    [
        ("lag", {}, "toxic: expected one of"),
        (7, {}, "toxic: expected one of"),
        ("latency", {}, "latency: expected the setting delay, found none"),
        ("latency", {"delay": -1}, "latency.delay: expected a whole number of ns"),
        ("latency", {"delay": 1.5}, "latency.delay"),
        ("latency", {"delay": True}, "latency.delay"),
        ("latency", {"delay": 1, "direction": "sideways"}, "latency.direction: expected 'both' or 'up'"),
        (
            "latency",
            {"delay": 1, "speed": 2},
            "latency: expected delay, delay_jitter, direction, toxicity, found speed",
        ),
        ("bandwidth", {"rate": 0}, "bandwidth.rate"),
        ("slicer", {"bytes": 0}, "slicer.bytes"),
        ("limit_data", {"bytes": 0}, "limit_data.bytes"),
        ("reset", {"new_connections": 1}, "reset.new_connections: expected True or False"),
    ],
)
def test_wrong_settings_are_refused_with_their_place(kind, settings, where):
    with pytest.raises(ToxicError) as refusal:
        toxic_of(kind, settings)
    assert where in str(refusal.value)


@pytest.mark.parametrize("kind", LEAST)
def test_two_of_a_kind_cannot_act_together(kind):
    with pytest.raises(ToxicError):
        refuse_conflicts(toxic_of(kind, LEAST[kind], 2), [toxic_of(kind, LEAST[kind], 1)])


def test_two_of_a_kind_may_act_on_two_directions():
    up = toxic_of("latency", {"delay": 1, "direction": "up"}, 1)
    down = toxic_of("latency", {"delay": 2, "direction": "down"}, 2)
    refuse_conflicts(down, [up])
    assert Path(1, UP, [up, down]).latency is up
    assert Path(1, DOWN, [up, down]).latency is down
    with pytest.raises(ToxicError, match="found latency in force on up"):
        refuse_conflicts(toxic_of("latency", {"delay": 3}, 3), [up])


@pytest.mark.parametrize("kind", [kind for kind in LEAST if kind != "reset"])
def test_nothing_acts_together_with_a_reset_of_new_connections(kind):
    every, once = toxic_of("reset", {}), toxic_of("reset", {"new_connections": False})
    other = toxic_of(kind, LEAST[kind])
    for new, old in ((every, other), (other, every)):
        with pytest.raises(ToxicError, match="expected no other toxic with reset"):
            refuse_conflicts(new, [old])
    refuse_conflicts(once, [other])
    refuse_conflicts(other, [once])
