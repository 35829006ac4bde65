"""State of the tests' own: other runs with faults on this machine are none of their business."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        for name in ("REDIS_URL", "DATABASE_URL", "API_URL", "HOLDFAST_RESTART_DELAY"):
            patch.delenv(name, raising=False)
        yield
