"""The table of report formats, and one that a plug-in adds to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.cli.main import run as bench
from bench.report.formats import FORMATS, Format, folder_formats
from tests.report import toy_format
from tests.report.test_reports import RUNS


@pytest.fixture
def toy() -> Iterator[None]:
    """The toy is a format as long as a test lasts."""
    toy_format.add()
    yield
    FORMATS.unregister("statuses")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return RUNS["failing"].write(tmp_path / "results")


@pytest.mark.usefixtures("toy")
def test_a_format_of_a_plug_in_renders_runs_and_a_folder_of_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["report", str(run), str(run), "--format", "statuses"]) == 0
    assert capsys.readouterr().out == "redis_latency FAIL\n" * 2
    assert bench(["report", str(run.parent), "--format", "statuses"]) == 0
    assert capsys.readouterr().out == "redis_latency complete\n"


@pytest.mark.usefixtures("toy")
def test_a_format_of_a_plug_in_is_among_those_that_help_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(["report", "--help"]) == 0
    assert "[text|json|csv|html|markdown|junit|statuses]" in capsys.readouterr().out


def test_a_format_that_is_not_registered_is_refused_with_those_that_are(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["report", str(run), "--format", "statuses"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "'text', 'json', 'csv', 'html', 'markdown', 'junit'" in told


def test_a_format_for_single_runs_is_refused_for_a_folder_with_those_that_it_has(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(["report", str(run.parent), "--format", "csv"]) == 2
    assert "use one of html, json, markdown, junit" in capsys.readouterr().err
    with pytest.raises(ValueError, match="of runs, not of a folder"):
        FORMATS["csv"].of_folder(None, None)  # type: ignore[arg-type]


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="text is registered already"):
        FORMATS.register("text", Format(".txt", "somewhere:render"))


def test_every_format_names_functions_that_exist_and_a_suffix() -> None:
    import importlib

    for report_format in FORMATS.values():
        assert re.fullmatch(r"\.\w+", report_format.suffix)
        for path in filter(None, (report_format.render_runs, report_format.render_folder)):
            module, _, name = path.partition(":")
            assert callable(getattr(importlib.import_module(module), name))
    assert folder_formats()[0] == "html"
