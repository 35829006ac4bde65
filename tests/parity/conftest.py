"""The fixture that runs each group of raw servers once, and the table of what was found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from bench.core.outcome import Outcome
from bench.engine.api import EngineResult
from bench.stack.embedded import EmbeddedStack
from bench.stack.target import Target
from tests.helpers.tls_servers import certificates, park  # noqa: F401 - fixtures
from tests.parity.cases import Case, Group
from tests.parity.parity_runs import Found, Look, run_group

TABLE = pytest.StashKey[dict[tuple[str, str], dict[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity-table", action="store_true", help="print the table of raw servers and engines")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/parity/" in item.path.as_posix() and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash[TABLE]
    if not config.getoption("--parity-table", default=False) or not table:
        return
    columns = sorted({column for row in table.values() for column in row}, reverse=True)
    write = terminalreporter.write_line
    write("| server | " + " | ".join(columns) + " |")
    write("|---" * (len(columns) + 1) + "|")
    for (driver, name), row in table.items():
        found = [row.get(column, "") for column in columns]
        write(f"| {driver}: {name.replace('_', ' ')} | " + " | ".join(found) + " |")


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Target]]:
    """A real PostgreSQL, started by whoever needs it first."""
    with contextlib.ExitStack() as cleanup:

        @cache
        def started() -> Target:
            stack = EmbeddedStack({"postgres"}, tmp_path_factory.mktemp("logs"))
            return cleanup.enter_context(stack).targets()["postgres"]

        yield started


@pytest.fixture(scope="session")
def look(pytestconfig: pytest.Config, backend: Callable[[], Target]) -> Look:
    """What an engine makes of a case, its answer whole or in pieces of some bytes."""
    results: dict[tuple[str, str, str, int], EngineResult] = {}

    def found(group: Group, case: Case, engine: str, cut: int) -> Found:
        key = (group.driver, group.name, engine, cut)
        if key not in results:
            results[key] = run_group(group, engine, cut, backend() if group.driver == "postgres" else None)
        result = results[key]
        row = result.tallies[group.cases.index(case)]
        summary = Found(
            {outcome: int(row[outcome]) for outcome in Outcome if row[outcome]},
            frozenset(error.text for error in result.errors if error.operation == case.name),
        )
        column = f"{engine}, bytes one by one" if cut else engine
        pytestconfig.stash[TABLE].setdefault((group.driver, case.name), {})[column] = summary.summary
        return summary

    return found
