"""A verdict that was written is read whole, or refused with the place of what is wrong."""

import pytest

from bench.judge.verdict import Check, Status, Verdict

WRITTEN = Verdict(
    scenario="sample",
    run="20260101t000000z-sample-000000",
    checks=(Check(rule="cache.errors < 1%", metric="cache.errors", status=Status.PASS, because="none"),),
).to_json()


def test_a_verdict_is_read_as_it_was_written() -> None:
    assert Verdict.from_json(WRITTEN).to_json() == WRITTEN


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"format": None}, "format: expected a whole number, found nothing"),
        (
            {"checks": [WRITTEN["checks"][0] | {"status": 7}]},
            "checks[0].status: expected a text, found a whole number",
        ),
    ],
)
def test_damage_is_refused_with_its_place(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is compared whole
        Verdict.from_json(WRITTEN | changed)
    assert str(refused.value) == sentence
