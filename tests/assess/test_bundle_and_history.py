"""The bundle of evidence, and how requirements stood over the runs."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from bench.assess.assessment import Assessment, assess
from bench.assess.history import histories
from bench.assess.requirements_file import load_requirements
from bench.assess.status import RequirementStatus
from bench.cli.main import run as bench
from bench.report.assess.bundle import write_bundle
from bench.report.assess.forms import render_html, render_markdown
from tests.assess.assess_runs import (
    DAY_NS,
    HOUR_NS,
    LATENCY,
    NOW_NS,
    assessed,
    write_run,
    write_scenario,
)
from tests.assess.test_documents import JUNIT

OWN = """\
requirements:
  - key: speed
    area: Cache
    demand: answers in time
    proofs: [{scenario: redis_latency, rule: cache.response.p95 < 10ms}]
  - {key: tests, area: Code, demand: tests pass, evidence: [{junit: ../reports/tests.xml}]}
  - {key: gone, area: Code, demand: is analysed, evidence: [{sarif: gone.sarif}]}
"""


def whole(folder: Path) -> Assessment:
    """An assessment of one run with a report, and of documents, one of which is not there."""
    kept = write_run(folder / "results")
    (kept / "report.html").write_text("<!doctype html>")
    (folder / "own").mkdir()
    (folder / "reports").mkdir()
    (folder / "own" / "own.yaml").write_text(OWN)
    (folder / "reports" / "tests.xml").write_text(JUNIT.format(""))
    wanted = load_requirements(folder / "own" / "own.yaml")
    files = write_scenario(folder / "scenarios")
    return assess(folder / "results", files, NOW_NS, 7 * DAY_NS, wanted, folder=folder / "own")


def test_a_bundle_has_all_that_speaks_and_sha256sum_finds_a_change(tmp_path: Path) -> None:
    found = whole(tmp_path)
    write_bundle(tmp_path / "a.zip", found, tmp_path / "own" / "own.yaml")
    out = tmp_path / "out"
    zipfile.ZipFile(tmp_path / "a.zip").extractall(out)
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    (run,) = (path.name for path in (tmp_path / "results").iterdir())
    assert names == {
        "SHA256SUMS",
        "requirements.yaml",
        "evidence/_/reports/tests.xml",
        *(f"results/readiness.{suffix}" for suffix in ("html", "md", "json")),
        *(f"results/{run}/{name}" for name in ("run.json", "verdict.json", "report.html")),
    }
    page = (out / "results" / "readiness.html").read_text()
    assert f'href="{run}/report.html"' in page
    assert 'href="../evidence/_/reports/tests.xml"' in page
    assert json.loads((out / "results" / run / "verdict.json").read_text())["status"] == "PASS"
    check = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    assert subprocess.run(check, cwd=out, check=False, capture_output=True).returncode == 0
    (out / "requirements.yaml").write_text("changed")
    assert subprocess.run(check, cwd=out, check=False, capture_output=True).returncode == 1


def test_equal_evidence_makes_an_equal_bundle(tmp_path: Path) -> None:
    found = whole(tmp_path)
    for name in ("a.zip", "b.zip"):
        write_bundle(tmp_path / name, found, tmp_path / "own" / "own.yaml")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["a.zip", "b.zip"]


def test_the_command_writes_the_bundle_and_says_how_to_check_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    whole(tmp_path)
    arguments = ["assess", str(tmp_path / "results"), "--requirements", str(tmp_path / "own" / "own.yaml")]
    assert bench([*arguments, "--bundle", str(tmp_path / "a.zip"), "--format", "json"]) == 5
    captured = capsys.readouterr()
    assert json.loads(captured.out)["recommendation"] == "CANNOT TELL"
    assert "sha256sum -c SHA256SUMS" in captured.err
    assert bench([*arguments, "--comment", str(tmp_path / "comment.md")]) == 5
    assert (tmp_path / "comment.md").read_text().startswith("<!-- holdfast readiness -->\n")
    capsys.readouterr()
    assert bench([*arguments, "--bundle", str(tmp_path / "none" / "a.zip")]) == 2
    assert "expected to be able to write the bundle" in capsys.readouterr().err


def test_the_page_shows_how_a_requirement_stood_and_since_when(tmp_path: Path) -> None:
    for hours, p95_ms in ((9, 1), (7, 50), (5, 50), (3, 1), (1, 1)):
        write_run(tmp_path / "r", age_ns=hours * HOUR_NS, p95_ms=p95_ms)
    write_run(tmp_path / "r", age_ns=2 * HOUR_NS, p95_ms=50, overrides=("x=1",), name_id="ffffff")
    found = assessed(tmp_path / "r")
    (history,) = histories(found.mets, found.found)
    good, bad = RequirementStatus.PASS, RequirementStatus.FAIL
    assert [stand.status for stand in history.stands] == [good, bad, bad, good, good]
    assert history.since_ns == NOW_NS - 3 * HOUR_NS
    for text in (render_html(found, tmp_path), render_markdown(found, tmp_path)):
        assert "✔ ✖ ✖ ✔ ✔" in text
        assert "2026-02-09 21:00 UTC" in text


def test_what_only_should_hold_has_a_history_of_warnings(tmp_path: Path) -> None:
    for hours, p95_ms in ((3, 1), (1, 50)):
        write_run(tmp_path / "r", age_ns=hours * HOUR_NS, p95_ms=p95_ms)
    found = assessed(tmp_path / "r", LATENCY.model_copy(update={"level": "should"}))
    (history,) = histories(found.mets, found.found)
    assert [stand.status.name for stand in history.stands] == ["PASS", "WARN"]


def test_a_requirement_that_one_run_speaks_for_has_no_history(tmp_path: Path) -> None:
    write_run(tmp_path / "r")
    found = assessed(tmp_path / "r", LATENCY)
    assert histories(found.mets, found.found) == []
    assert "Requirements over the runs" not in render_html(found, tmp_path)


def test_readiness_and_the_index_of_runs_lead_to_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "results")
    write_run(tmp_path / "results", age_ns=2 * HOUR_NS)
    assert bench(["report", "results"]) == 0
    assert "readiness.html" not in Path("results/index.html").read_text()
    assert bench(["assess", "results", "--out", "results/readiness.html"]) == 1
    assert 'href="index.html"' in Path("results/readiness.html").read_text()
    assert bench(["report", "results"]) == 0
    assert 'href="readiness.html"' in Path("results/index.html").read_text()
