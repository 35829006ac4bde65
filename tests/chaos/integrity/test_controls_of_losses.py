"""The controls: servers that must lose what they acknowledged are caught, those that must not are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.durability.controls import CONTROLS, Control, Result, line, run_control
from tests.helpers.other_work import undisturbed, was_held_up

LOSERS = [control for control in CONTROLS if control.must_lose]


def test_there_are_losers_and_keepers_of_both_servers() -> None:
    assert {(control.service, control.must_lose) for control in CONTROLS} == {
        (service, loses) for service in ("redis", "postgres") for loses in (True, False)
    }


@pytest.mark.parametrize(
    "control",
    [
        pytest.param(control, id=control.service, marks=[pytest.mark.long] * (control.service == "postgres"))
        for control in LOSERS
    ],
)
def test_a_server_that_forgets_is_caught_and_its_losses_are_counted_and_dated(
    control: Control, tmp_path: Path
) -> None:
    def attempt() -> tuple[Result, Path]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        result = run_control(control, kills=2, folder=folder)
        (kept,) = folder.glob("*-control-*")
        return result, kept

    # A server that gets no processor is still down at its second kill.
    result, _ = undisturbed(attempt, lambda made: made[0].kills < 2 and was_held_up(made[1]))
    entry = result.entry
    assert result.kills == 2
    assert result.is_right
    assert 0 < entry["lost"] < entry["acknowledged"]
    assert entry["lost"] + entry["found"] - entry["unknown_survived"] == entry["acknowledged"]
    assert entry["holes"] == 0  # all that was not written yet, and nothing before it
    assert 0 < entry["oldest_lost_age_ns"] < 30e9
    assert all(one["fault"] in (0, 1) for one in entry["examples"])


KEEPER = next(control for control in CONTROLS if not control.must_lose)
SOUND = {
    "acknowledged": 100,
    "lost": 0,
    "unexpected": 0,
    "holes": 0,
    "oldest_lost_age_ns": None,
    "bound": "0 of 100 lost",
}


@pytest.mark.parametrize(
    ("control", "changed", "is_right"),
    [
        (KEEPER, {}, True),
        (KEEPER, {"lost": 1}, False),
        (KEEPER, {"unexpected": 1}, False),
        (KEEPER, {"lost": None}, False),
        (KEEPER, {"acknowledged": 0}, False),
        (LOSERS[0], {}, False),
        (LOSERS[0], {"lost": 7, "oldest_lost_age_ns": 5_000_000}, True),
        (LOSERS[0], {"lost": 7, "holes": 1}, False),
    ],
)
def test_a_control_that_does_otherwise_is_told(
    control: Control, changed: dict[str, object], is_right: bool
) -> None:
    result = Result(control, 3, {**SOUND, **changed})
    assert result.is_right is is_right
    assert ("as it must" in line(result)) is is_right
    assert not Result(control, 0, {**SOUND, **changed}).is_right
