"""The Markdown report, compared with golden files (HOLDFAST_UPDATE_GOLDEN=1 writes them anew) and parsed."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bench.judge.judge import judge
from bench.judge.verdict import Status
from bench.report import markdown
from bench.report.document import Cell, Code, Section, Table, columns
from bench.report.html.page import UNSHOWABLE
from bench.report.index.entries import entry_with
from bench.report.render import markdown as form
from bench.report.render.markdown import APART, SIGNS, folded, text
from bench.results.reader import Run
from tests.helpers.synthetic_run import MS, SyntheticRun
from tests.report.test_fault_reports import RUNS as FAULT_RUNS
from tests.report.test_reports import RUNS as LOAD_RUNS

GOLDEN = Path(__file__).parent / "golden"
RUNS = {**LOAD_RUNS, **FAULT_RUNS}
PARSER = MarkdownIt("commonmark").enable("table")


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda name: Run.load(RUNS[name].write(Path("results")))


def is_golden(name: str, found: str) -> bool:
    file = GOLDEN / name
    if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
        file.write_text(found)
    return found == file.read_text()


def cells_of(source: str) -> list[list[str]]:
    """The visible text of every cell of the body, by row, as a reader sees it."""
    rows: list[list[str]] = []
    for token in PARSER.parse(source):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            kinds = {child.type for child in token.children or ()}
            assert kinds <= {"text", "text_special", "code_inline", "html_inline"}, kinds
            html = [child.content for child in token.children or () if child.type == "html_inline"]
            assert set(html) <= {"<span>", "</span>", "<br>"}
            shown = "".join(child.content for child in token.children or () if child.type != "html_inline")
            rows[-1].append(shown)
    return rows[1:]


@pytest.mark.parametrize("name", RUNS)
def test_the_markdown_report_is_as_it_was_approved(loaded, name):
    run = loaded(name)
    report = markdown.render(run, judge(run))
    above, _, folded_part = report.partition("<details>")
    assert folded_part.endswith("```\n\n</details>\n")
    assert is_golden(f"{name}.md", above)


def test_every_rule_is_a_row_with_its_status_and_why(loaded):
    run = loaded("failing")
    verdict = judge(run)
    rows = cells_of(markdown.render(run, verdict))[: len(verdict.checks)]
    assert [row[0].split()[-1] for row in rows] == [check.status.name for check in verdict.checks]
    assert all(row[-1].startswith(check.because) for row, check in zip(rows, verdict.checks, strict=True))


def row_of(cell: Cell) -> Section:
    """A table with one row, whose first cell it is."""
    return Section("", (Table("", columns("A | B"), ((cell, "end"),)),))


@given(st.text())
def test_any_text_in_a_cell_is_shown_as_it_is(value):
    ((shown, after),) = cells_of(form.render([row_of(f"x{value}")]))
    assert words(shown) == words(UNSHOWABLE.sub("\ufffd", f"x{value}"))
    assert after == "end"


def words(value: str) -> list[str]:
    return value.replace("\u200b", "").split()


@given(st.text(alphabet="ab |`\\<&@#\n"))
def test_any_text_as_code_in_a_cell_is_shown_as_it_is(value):
    ((shown, after),) = cells_of(form.render([row_of(Code(f"x{value}x"))]))
    assert shown == " ".join(f"x{value}x".split())
    assert after == "end"


@pytest.mark.parametrize(
    ("given_text", "link"),
    [
        ("ask @octocat", "@octocat"),
        ("see #12", "#12"),
        ("see GH-12", "GH-12"),
        ("at https://example.org/x", "https://"),
        ("at www.example.org", "www."),
        ("a :bug: in it", ":bug:"),
    ],
)
def test_a_text_calls_no_person_issue_or_address(given_text, link):
    shown = text(given_text)
    assert link not in shown
    assert APART in shown
    assert link in shown.replace(APART, "")


def test_what_stands_in_a_summary_is_text(tmp_path):
    lines = folded("<b>redis_latency</b> @all", ["x"])
    assert lines[0] == f"<details><summary>&lt;b&gt;redis_latency&lt;/b&gt; @{APART}all</summary>"


def test_an_error_text_of_a_server_cannot_end_the_folded_report(tmp_path):
    hostile = "````\n</details>\n| x | @all <script>"
    run = SyntheticRun(
        sla=["cache.errors < 1%"],
        samples={"cache/get/response/error": [(MS, 300)]},
        workload={"errors": [{"operation": "get", "text": hostile, "count": 300}]},
    ).load(tmp_path)
    report = markdown.render(run, judge(run))
    blocks = [token for token in PARSER.parse(report) if token.type == "fence"]
    assert len(blocks) == 1
    assert blocks[0].content.rstrip("\n").endswith("scenarios/redis_latency.yaml --stack embedded --seed 1")
    outside = "".join(token.content for token in PARSER.parse(report) if token.type == "html_block")
    assert "script" not in outside


def test_the_summary_of_several_runs_has_a_row_for_each_and_opens_what_did_not_pass(tmp_path):
    runs = {name: Run.load(RUNS[name].write(tmp_path / name)) for name in ("passing", "failing", "kills")}
    judged = {run.path: (run, judge(run)) for run in runs.values()}
    entries = [entry_with(*one) for one in judged.values()]
    report = markdown.render_summary(entries, lambda entry: markdown.blocks(*judged[entry.path]))
    assert report.startswith(f"## {SIGNS[Status.FAIL]} FAIL: 3 runs, ")
    assert len(cells_of(report.partition("<details")[0])) == 3
    assert report.count("<details open><summary>FAIL redis_latency</summary>") == 1
    assert "\n### " in report


def test_a_summary_of_very_many_runs_stays_within_what_github_takes(tmp_path):
    run = Run.load(RUNS["failing"].write(tmp_path))
    entry = entry_with(run, judge(run))
    report = markdown.render_summary([entry] * 900, lambda _: ("x" * 5_000,))
    assert len(report.encode()) < 1_000_000
    assert "The 500 runs before these are left out." in report
    assert re.search(r"details of \d+ more runs are left out", report)
