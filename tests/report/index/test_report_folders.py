"""`bench report` of several runs, of a folder of runs, and into files."""

import csv
import io
import json
import xml.etree.ElementTree as ET

import pytest

from bench.cli.main import run as bench
from tests.report.index.index_runs import put, put_everything


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_of_runs_gets_a_page_and_nothing_else_is_touched(tmp_path, capsys):
    put_everything(tmp_path)
    before = snapshot(tmp_path)
    assert bench(["report", str(tmp_path)]) == 0
    page = tmp_path / "index.html"
    assert capsys.readouterr().out == f"{page}\n"
    assert page.read_text().startswith("<!doctype html>")
    assert {path: content for path, content in snapshot(tmp_path).items() if path != page} == before
    assert bench(["report", str(tmp_path)]) == 0


@pytest.mark.parametrize(("form", "start"), [("json", "{"), ("markdown", "## "), ("junit", "<?xml")])
def test_a_folder_of_runs_is_printed_in_other_forms(tmp_path, capsys, form, start):
    put_everything(tmp_path)
    assert bench(["report", str(tmp_path), "--format", form]) == 0
    assert capsys.readouterr().out.startswith(start)
    assert not (tmp_path / "index.html").exists()


def test_a_damaged_run_in_a_folder_is_an_error_of_its_junit_suite(tmp_path, capsys):
    put(tmp_path, 1)
    (put(tmp_path, 2) / "run.json").write_text("{")
    assert bench(["report", str(tmp_path), "--format", "junit"]) == 0
    suites = list(ET.fromstring(capsys.readouterr().out))
    assert [suite.get("errors") for suite in suites] == ["1", "0"]


def test_several_runs_are_one_report(tmp_path, capsys):
    paths = [str(put(tmp_path, 1)), str(put(tmp_path, 2, judged=False))]
    assert bench(["report", *paths, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [run["verdict"]["status"] for run in found["runs"]] == ["PASS", "PASS"]
    assert bench(["report", *paths, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len({row["run"] for row in rows}) == 2
    assert bench(["report", *paths, "--format", "junit"]) == 0
    assert len(ET.fromstring(capsys.readouterr().out)) == 2
    assert bench(["report", *paths, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.count("<details") == 4
    assert bench(["report", *paths]) == 0
    assert capsys.readouterr().out.count("Latency ") == 2


def test_a_report_goes_to_the_file_that_is_named(tmp_path, capsys):
    out = tmp_path / "report.md"
    assert bench(["report", str(put(tmp_path, 1)), "--format", "markdown", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text().startswith("## ")


def test_a_single_run_is_printed_as_a_page(tmp_path, capsys):
    assert bench(["report", str(put(tmp_path, 1)), "--format", "html"]) == 0
    assert capsys.readouterr().out.startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["empty"], "expected runs in it, found none"),
        (["absent"], "found nothing there"),
        (["results", "results"], "is a folder of runs: name it alone"),
        (["results", "--format", "csv"], "--format csv is of runs"),
        (["RUN", "RUN", "--format", "html"], "--format html is of one run"),
        (["RUN", "--out", "absent/report.txt"], "the report cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_2(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    run = str(put(tmp_path / "results", 1))
    assert bench(["report", *(run if word == "RUN" else word for word in arguments)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "markdown", "junit"])
def test_a_damaged_run_is_refused_in_every_form_and_no_file_is_written(tmp_path, capsys, form):
    path = put(tmp_path, 1, judged=False)
    log = path / "windows.hlog"
    log.write_text(log.read_text().replace("HISTF", "HISTX"))
    out = tmp_path / "report"
    before = snapshot(path)
    assert bench(["report", str(path), "--format", form, "--out", str(out)]) == 2
    assert "the run is damaged" in capsys.readouterr().err
    assert not out.exists()
    assert snapshot(path) == before


@pytest.mark.parametrize("form", ["text", "json", "html", "markdown", "junit"])
def test_a_newer_run_is_refused_in_every_form(tmp_path, capsys, form):
    file = put(tmp_path, 1) / "run.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 9', 1))
    assert bench(["report", str(file.parent), "--format", form]) == 2
    assert "expected format 1 or older, found 9" in capsys.readouterr().err


@pytest.fixture
def scenario(tmp_path):
    file = tmp_path / "nothing.yaml"
    file.write_text(
        """
scenario: nothing
purpose: Nothing is driven
workloads:
  - name: idle
    target: redis
    driver: noop
    lanes: 1
    operations: {nothing: {}}
    arrivals: constant
    rate: 500/s
    deadline: 1s
phases:
  - {name: steady, for: 1s}
sla:
  - idle.throughput >= 1/s
"""
    )
    return file


def test_reports_for_ci_are_written_when_all_scenarios_have_run(tmp_path, scenario, capsys):
    junit, markdown = tmp_path / "junit.xml", tmp_path / "summary.md"
    arguments = ["--out", str(tmp_path / "results"), "--junit", str(junit), "--markdown", str(markdown)]
    code = bench(["run", str(scenario), "--stack", "embedded", *arguments])
    assert code in (0, 5), capsys.readouterr().err
    (suite,) = ET.fromstring(junit.read_text())
    assert suite.get("name") == "nothing"
    assert "idle.throughput >= 1/s" in [case.get("name") for case in suite.findall("testcase")]
    assert "nothing" in markdown.read_text()


def test_a_file_for_ci_that_cannot_be_written_is_told_before_anything_runs(tmp_path, scenario, capsys):
    arguments = ["--out", str(tmp_path / "results"), "--junit", str(tmp_path / "no" / "junit.xml")]
    assert bench(["run", str(scenario), "--stack", "embedded", *arguments]) == 2
    assert "expected its folder to be there, found none" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
