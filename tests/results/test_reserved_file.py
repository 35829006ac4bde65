"""A disk without room for the operation log ends a run with a sentence, not with a signal."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.errors import ResultError
from bench.core.machine_limits import reserve

LIMIT_BYTES = 1 << 20


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file may grow beyond LIMIT_BYTES: to the writer it is as good as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_room_that_is_not_there_is_told_with_what_was_needed(tmp_path: Path, little_room: None) -> None:
    with pytest.raises(ResultError, match=r"the operation log needs 2 MB; make room") as refused:
        reserve(tmp_path / "log", 2_000_000)
    assert str(tmp_path) in str(refused.value)


def test_what_is_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"header")
    reserve(path, 1000)
    assert path.read_bytes() == b"header" + bytes(994)
