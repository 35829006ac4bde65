"""What was left behind stays behind: words of a private vocabulary, and records without types."""

import re

import pytest

from tests.architecture.sources import ROOT, modules

OLD_WORDS = (
    *("asker", "attendant", "burner", "companion", "conductor", "contestant", "crew", "door", "happenings"),
    *("parcel", "roster", "stray", "surroundings", "toxin", "whereabouts"),
)

UNTYPED = re.compile(r"dict\[str, Any\]")
MOST_UNTYPED = 42
UNTYPED_IN = {
    "bench.cli.stack_command",
    "bench.core.answers",
    "bench.drivers.postgres.pool",
    "bench.judge.verdict",
    "bench.reference_api.database",
    "bench.report.assess.forms",
    "bench.report.data",
    "bench.report.html.plots",
    "bench.results.model",
    "bench.results.reader",
    "bench.results.run_record",
    "bench.results.writer",
    "bench.run.calibration.measure",
    "bench.run.plugins",
    "bench.run.recorder",
    "bench.scenario.faults",
    "bench.scenario.model",
    "bench.stack.target",
    "bench.stack.probes.http",
    "bench.stack.supervisor.processes",
    "bench.stack.supervisor.supervisor",
    "bench.swarm.users.requests",
    "bench.swarm.web.panel",
    "bench.swarm.web.statistics",
    "chaos.container_view",
    "chaos.undo",
}
"""Where JSON, YAML or a dictionary of another library is read or written. The number may only fall."""


@pytest.mark.parametrize("word", OLD_WORDS)
def test_words_that_nobody_in_the_field_knows_are_not_used(word: str) -> None:
    pattern = re.compile(rf"\b{word}s?\b", re.IGNORECASE)
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    files = [*modules().values(), *documents, *(ROOT / "scenarios").glob("*.*")]
    assert [str(path) for path in files if pattern.search(path.read_text(encoding="utf-8"))] == []


def test_records_are_typed_except_at_the_borders() -> None:
    counts = {
        name: len(UNTYPED.findall(path.read_text(encoding="utf-8"))) for name, path in modules().items()
    }
    assert sorted({name for name, count in counts.items() if count} - UNTYPED_IN) == []
    assert sum(counts.values()) <= MOST_UNTYPED
