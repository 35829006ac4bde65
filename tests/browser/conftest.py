"""One web UI for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ui_process import UiProcess


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiProcess]:
    process = UiProcess(tmp_path_factory.mktemp("ui") / "results")
    yield process
    process.close()
