"""Whatever the bytes, loading gives a scenario or ScenarioError: never another exception, never a hang."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.errors import Problem, ScenarioError
from bench.scenario.load import load_scenario
from tests.helpers.scenarios import GOOD

RELAXED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def _load(file: Path, data: bytes, overrides: tuple[str, ...] = ()) -> None:
    file.write_bytes(data)
    for problem in _problems(file, overrides):
        assert "\n" not in str(problem)
        str(problem).encode()


def _problems(file: Path, overrides: tuple[str, ...]) -> list[Problem]:
    try:
        load_scenario(file, overrides, environment={"A": "1", "B": "\udcff", "C": ""})
    except ScenarioError as error:
        return error.problems or pytest.fail("an error without a problem")
    return []


@RELAXED
@given(st.binary(max_size=300))
def test_arbitrary_bytes(tmp_path: Path, data: bytes) -> None:
    _load(tmp_path / "fuzz.yaml", data)


@RELAXED
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@`,? \n\t~0.", max_size=80))
def test_text_of_yaml_signs(tmp_path: Path, text: str) -> None:
    _load(tmp_path / "fuzz.yaml", text.encode())


_LINES = GOOD.splitlines()
_VALUES = st.sampled_from(
    [
        *(
            "",
            "null",
            "[]",
            "{}",
            "5",
            "-1",
            "1.5",
            "true",
            "x",
            "[[]]",
            "{a: 1}",
            "${A}",
            "${B}",
            "${C}",
            "${",
        ),
        *("10ms", "*a", "1/s", "50%", '""', "[1, [2]]", "{from: 1%, to: x}", "9" * 21),
        *("redis_pubsub", "closed", "client", "noop", "zipf"),
    ]
)


@RELAXED
@given(st.integers(0, len(_LINES) - 1), _VALUES, st.integers(0, len(_LINES) - 1), _VALUES)
def test_a_good_file_with_values_replaced(
    tmp_path: Path, first: int, one: str, second: int, other: str
) -> None:
    lines = list(_LINES)
    for index, value in ((first, one), (second, other)):
        key, colon, _ = lines[index].partition(":")
        lines[index] = f"{key}{colon} {value}"
    _load(tmp_path / "fuzz.yaml", "\n".join(lines).encode())


@RELAXED
@given(st.lists(st.sampled_from(range(len(_LINES))), max_size=30))
def test_a_good_file_with_lines_shuffled_and_missing(tmp_path: Path, order: list[int]) -> None:
    _load(tmp_path / "fuzz.yaml", "\n".join(_LINES[index] for index in order).encode())


_STEPS = st.sampled_from(
    ["workloads", "cache", "0", "+", "rate", "operations", "get", "phases", "steady", "sla", "x", ""]
)


@RELAXED
@given(st.lists(_STEPS, max_size=5), st.one_of(_VALUES, st.text(max_size=10)))
def test_arbitrary_overrides(tmp_path: Path, steps: list[str], value: str) -> None:
    _load(tmp_path / "fuzz.yaml", GOOD.encode(), (f"{'.'.join(steps)}={value}", value))


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["name", "for", "load", "from", "rate", "keys", "operations", "command", "weight", "driver"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@RELAXED
@given(st.dictionaries(st.sampled_from(["scenario", "workloads", "phases", "sla", "faults", "seed"]), _JSON))
def test_values_of_any_shape(tmp_path: Path, value: object) -> None:
    import yaml

    _load(tmp_path / "fuzz.yaml", yaml.safe_dump(value).encode())


def test_the_good_file_is_good(tmp_path: Path) -> None:
    """Otherwise the mutations above would start from nothing."""
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    assert load_scenario(file).rules


@pytest.mark.parametrize(
    "seed", ["a: " + "x" * 900_000, '"' + "y" * 900_000 + '": 1', "${" * 400_000, "- {" * 30]
)
def test_long_texts_stay_short_in_problems(tmp_path: Path, seed: str) -> None:
    file = tmp_path / "long.yaml"
    file.write_text(seed)
    with pytest.raises(ScenarioError) as refused:
        load_scenario(file)
    assert len(str(refused.value)) < 5000
