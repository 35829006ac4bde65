"""Records of runs as tests write them: only what the test is about."""

from collections.abc import Mapping
from typing import Any

from bench.results import layout
from bench.results.run_record import RunRecord


def record_of(sections: Mapping[str, Any]) -> RunRecord:
    """The record of a run with these sections, as JSON has them. Raises ValueError for damaged ones."""
    return RunRecord.read({"format": layout.FORMAT, **sections})
