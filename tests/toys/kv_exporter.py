"""An exporter: appends a line for each window of a run to the file that KV_EXPORT names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.core.clock import WallLabel
    from bench.core.messages import Event
    from bench.exporters.choice import Asked
    from bench.judge.verdict import Verdict
    from bench.results.run_record import RunRecord
    from bench.run.plugins import WindowView

VARIABLE = "KV_EXPORT"


class LineExporter:
    """Observes one session."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def started(self, record: RunRecord, zero: WallLabel) -> None:
        """Run zero is set."""
        self._say("started")

    def window(self, view: WindowView) -> None:
        """A window was closed."""
        self._say(f"window {view.start_ns} {len(view.gains)}")

    def event(self, entry: Event) -> None:
        """Something happened."""

    def ended(self, path: Path, *, interrupted: bool) -> None:
        """The run folder is complete."""
        self._say(f"ended {path.name}")

    def judged(self, verdict: Verdict) -> None:
        """The run was judged."""
        self._say(f"judged {verdict.status.name}")

    def close(self) -> None:
        """The session is over."""
        self._file.close()

    def _say(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()


def opened(_: Asked, __: Callable[[str], None], environment: Mapping[str, str]) -> LineExporter | None:
    """The exporter, where the environment asks for it."""
    path = environment.get(VARIABLE)
    return LineExporter(Path(path)) if path else None
