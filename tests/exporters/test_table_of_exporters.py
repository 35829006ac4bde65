"""An exporter of a plug-in is opened like those that are part of the product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import WallLabel
from bench.core.errors import UsageError
from bench.exporters.choice import EXPORTERS, Asked, Notify, open_exporters
from bench.judge.verdict import Verdict
from bench.run.plugins import WindowView


class Toy:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.is_closed = False

    def started(self, record: Any, zero: WallLabel) -> None:
        pass

    def window(self, view: WindowView) -> None:
        pass

    def event(self, entry: Any) -> None:
        pass

    def ended(self, path: Path, *, interrupted: bool) -> None:
        pass

    def judged(self, verdict: Verdict) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


TOY = Toy()


def open_toy(asked: Asked, notify: Notify, environment: Mapping[str, str]) -> Toy | None:
    return TOY if "TOY" in environment else None


def fails(asked: Asked, notify: Notify, environment: Mapping[str, str]) -> None:
    if "FAILS" in environment:
        raise UsageError("no")


@pytest.fixture
def registered() -> Iterator[None]:
    """Two exporters more, as long as a test lasts."""
    EXPORTERS.register("toy", open_toy)
    EXPORTERS.register("none", fails)
    yield
    EXPORTERS.unregister("toy")
    EXPORTERS.unregister("none")


@pytest.mark.usefixtures("registered")
def test_a_registered_exporter_is_opened_where_it_is_asked_for() -> None:
    assert open_exporters(Asked(), print, {}) == []
    assert open_exporters(Asked(), print, {"TOY": "1"}) == [TOY]
    with pytest.raises(ValueError, match="the exporter toy is registered already"):
        EXPORTERS.register("toy", open_toy)
    with pytest.raises(UsageError):
        open_exporters(Asked(), print, {"TOY": "1", "FAILS": "1"})
    assert TOY.is_closed
