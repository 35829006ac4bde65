"""What the scenario tests share: a good scenario as text, and ways to load a text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from bench.core.errors import Problem, ScenarioError
from bench.scenario.load import LoadedScenario, load_scenario
from tests.helpers.scenarios import GOOD

Loader = Callable[..., LoadedScenario]
ProblemFinder = Callable[..., list[Problem]]


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def load(tmp_path: Path) -> Loader:
    """Load a text (or bytes) as if it stood in scenario.yaml, in an empty environment."""

    def loaded(
        text: str | bytes,
        overrides: Sequence[str] = (),
        quick: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> LoadedScenario:
        file = tmp_path / "scenario.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_scenario(file, overrides, quick, environment or {})

    return loaded


@pytest.fixture
def problems(load: Loader) -> ProblemFinder:
    """The problems of a text that must have some."""

    def found(text: str | bytes, overrides: Sequence[str] = (), **others: Mapping[str, str]) -> list[Problem]:
        with pytest.raises(ScenarioError) as refused:
            load(text, overrides, **others)
        return refused.value.problems

    return found
