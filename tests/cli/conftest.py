"""The command line, in a folder for each test."""

from pathlib import Path

import pytest

from tests.helpers.command_line import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
