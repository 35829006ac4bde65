"""One web UI for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ui_process import UiProcess, brief_scenarios


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one short scenario."""
    return brief_scenarios(tmp_path_factory.mktemp("scenarios"))


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiProcess]:
    process = UiProcess(tmp_path_factory.mktemp("ui") / "results")
    yield process
    process.close()
