"""`pytest scenarios/ --bench`: every scenario a file, every rule a test. Does nothing without --bench.

pytest imports this module wherever Holdfast is installed, so it must stay light; what it does stands in
bench.pytest_plugin.collect.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from bench.pytest_plugin.collect import ScenarioFile

SUFFIXES = (".yaml", ".yml")
SCENARIO_KEY = re.compile(rb"""^(\xef\xbb\xbf)?["']?scenario["']?\s*:""", re.MULTILINE)
LOOKED_AT_BYTES = 65_536
"""A file whose beginning of this size is not a scenario is ignored."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("holdfast", "Holdfast: scenarios as tests")
    group.addoption("--bench", action="store_true", help="Run the scenario files found; each rule is a test.")
    group.addoption("--bench-quick", action="store_true", help="Shorten the phases for a smoke run.")
    group.addoption("--bench-stack", metavar="S", help="embedded, docker, compose or external.")
    group.addoption("--bench-out", metavar="DIR", default="results", help="Where run folders go.")
    group.addoption(
        "--bench-only", choices=("load", "chaos"), help="Only scenarios without faults, or only those with."
    )


@pytest.hookimpl(trylast=True)  # after xdist has made up its mind about -n auto
def pytest_configure(config: pytest.Config) -> None:
    """Refuse what cannot work. Raises pytest.UsageError."""
    if not config.getoption("bench") or hasattr(config, "workerinput"):
        return
    workers = len(config.getoption("tx", None) or ())
    from bench.core.machine_limits import raise_descriptor_limit

    raise_descriptor_limit()
    if workers > 1:
        raise pytest.UsageError(
            f"--bench: expected one process, found {workers}: runs at the same time would measure each "
            "other; leave -n away, or say -n 0"
        )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """A scenario's file, where --bench asks for them."""
    if not parent.config.getoption("bench") or not _is_scenario(file_path):
        return None
    from bench.pytest_plugin.collect import ScenarioFile

    file: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return file


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the stack, if there is one."""
    if session.config.getoption("bench"):
        from bench.pytest_plugin.collect import close_bench

        close_bench(session.config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where the runs lie, and which rules are past their warning level."""
    if terminalreporter.config.getoption("bench"):
        from bench.pytest_plugin.collect import write_summary

        write_summary(terminalreporter)


def _is_scenario(path: Path) -> bool:
    """Whether a file has a top-level key `scenario`: then what is wrong with it is worth an error."""
    if path.suffix not in SUFFIXES or path.name.startswith("."):
        return False
    try:
        with path.open("rb") as file:
            return SCENARIO_KEY.search(file.read(LOOKED_AT_BYTES)) is not None
    except OSError:
        return False
