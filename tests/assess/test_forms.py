"""The report's forms and the command."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.assess.assessment import Assessment
from bench.cli.main import run as bench
from bench.report.assess.forms import render_comment, render_html, render_json, render_markdown, render_text
from tests.assess.assess_runs import HOUR_NS, SHIPPED, assessed, write_run, write_scenario

FOREVER = ("--max-age", "36500d")
HOSTILE = "<img src=x onerror=alert(1)> | `x` [a](b) @someone"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assessed") / "runs of ours"
    kept = write_run(folder, quick=True)
    (kept / "report.html").write_text("<!doctype html>")
    write_run(folder, age_ns=HOUR_NS // 2, interrupted=True, name_id="ffffff")
    write_run(folder, "redis_pubsub", overrides=("phases.steady.for=1s",))
    write_run(folder, "of_theirs", p95_ms=50, anomalies=[_anomaly()])
    (write_run(folder, "postgres_mixed") / "run.json").write_text("{")
    return folder


def _anomaly() -> dict[str, str]:
    return {"code": "strange", "severity": "fail", "message": HOSTILE}


@pytest.fixture(scope="module")
def whole(results: Path) -> Assessment:
    return assessed(results, *SHIPPED.requirements)


def test_the_page_is_one_file_that_loads_nothing_and_escapes_what_came_from_outside(
    whole: Assessment, tmp_path: Path
) -> None:
    page = render_html(whole, tmp_path)
    assert page.count("<h1>") == 1
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert not re.search(r"<script|(src|href)=\"(https?:)?//", page)
    assert "NOT READY" in page[: page.index("Scorecard")]


def test_links_lead_from_the_page_to_the_runs(whole: Assessment, results: Path, tmp_path: Path) -> None:
    page = render_html(whole, tmp_path)
    links = {unquote(link) for link in re.findall(r'href="([^"#:]+)"', page)}
    assert any(link.endswith("report.html") for link in links)
    assert all((tmp_path / link).exists() for link in links)


def test_every_status_of_the_page_has_its_word_beside_its_colour(whole: Assessment, tmp_path: Path) -> None:
    badges = re.findall(
        r'<span class="badge[^"]*">(.*?)</span> ?([A-Z ]*)</span>', render_html(whole, tmp_path)
    )
    assert badges
    assert all(word.strip() for _, word in badges)


def test_markdown_holds_the_same_and_its_tables_keep_their_columns(whole: Assessment, tmp_path: Path) -> None:
    text = render_markdown(whole, tmp_path)
    assert text.startswith("# Production readiness\n\n## ✖ NOT READY\n")
    assert "<img" not in text
    # The line of a folded part is HTML, where Markdown's backslashes would be seen.
    assert not [line for line in text.splitlines() if line.startswith("<summary>") and "\\" in line]
    assert "@someone" not in text
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    assert len(blocks) >= 6
    for block in blocks:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    for title in (
        "Scorecard",
        "SLA compliance matrix",
        "Alert thresholds",
        "Resilience",
        "Capacity",
        "Evidence",
    ):
        assert f"\n## {title}\n" in text


def test_the_terminal_gets_80_columns_with_what_to_run(whole: Assessment) -> None:
    text = render_text(whole)
    assert text.startswith("NOT READY\n")
    long = [line for line in text.splitlines() if len(line) > 80 and "/" not in line]
    assert long == []
    assert "  bench run " in text
    assert "\x1b" not in text


def test_one_reason_that_is_not_shown_is_no_plural(
    whole: Assessment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hidden, words in ((1, "and 1 more reason:"), (2, "and 2 more reasons:")):
        monkeypatch.setattr("bench.report.assess.forms.REASONS_IN_A_TERMINAL", len(whole.reasons) - hidden)
        assert words in render_text(whole)


def test_a_comment_is_short_begins_with_its_mark_and_leads_nowhere(whole: Assessment) -> None:
    text = render_comment(whole)
    assert text.startswith("<!-- holdfast readiness -->\n")
    assert "✖ NOT READY" in text
    assert "| Redis |" in text
    assert not re.search(r"(?<!\\)\]\(", text)  # a path of the machine that assessed means nothing elsewhere
    assert "<img" not in text
    assert "@someone" not in text
    folded = text[text.index("<details>") :]
    assert folded.count("\n- ") == len(whole.reasons) - 8
    assert text.count("\n- ") == len(whole.reasons)


def test_json_has_every_requirement_and_reason(whole: Assessment) -> None:
    document = json.loads(render_json(whole))
    assert document["recommendation"] == "NOT READY"
    assert [one["key"] for one in document["requirements"]] == [one.key for one in SHIPPED.requirements]
    first = document["requirements"][0]["proofs"][0]
    assert first["rule"] == "cache.response.p95 < 10ms warn 8ms"
    assert first["limit"] == 10_000_000
    assert first["interval"][0] <= first["observed"] <= first["interval"][1]
    assert len(document["damaged"]) == 1


def test_an_empty_folder_is_an_assessment_of_nothing(tmp_path: Path) -> None:
    found = assessed(tmp_path / "empty", *SHIPPED.requirements)
    assert found.score.shown == 0
    for text in (
        render_html(found, tmp_path),
        render_markdown(found, tmp_path),
        render_text(found),
    ):
        assert "CANNOT TELL" in text
        assert "PASS" not in text.replace("PASS\n", "")


def test_the_command_writes_the_form_that_the_file_is_named_for(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    write_scenario(tmp_path / "s")
    for name, begins in {
        "a.html": "<!doctype html>",
        "a.md": "# Production",
        "a.json": "{",
        "a.txt": "NOT",
    }.items():
        arguments = ["assess", str(results), "--scenarios", str(tmp_path / "s"), *FOREVER]
        assert bench([*arguments, "--out", str(tmp_path / name)]) == 1
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(begins)
        assert capsys.readouterr().out.startswith("NOT READY: ")
    (tmp_path / "none").mkdir()
    assert bench(["assess", str(tmp_path / "none"), "--scenarios", str(tmp_path / "s")]) == 5
    assert capsys.readouterr().out.startswith("CANNOT TELL\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["no/such/folder"], 2, "expected a folder with runs, found none"),
        ([".", "--max-age", "7"], 2, "without a unit"),
        ([".", "--stack", "embedded"], 2, "expected external or compose, which run already"),
        ([".", "--service", "redis://127.0.0.1:1"], 4, "NAME=URL"),
        ([".", "--out", "no/such/folder/a.html"], 2, "expected to be able to write the report"),
        ([".", "--scenarios", "no/such/folder"], 3, "no/such/folder"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert bench(["assess", *arguments]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


def test_a_service_that_is_named_is_asked_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r").mkdir()
    # Port 1 of loopback: nothing listens there.
    code = bench(["assess", "r", "--service", "edge=proxy://127.0.0.1:1/ping", "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert document["targets"][0]["state"] == "down"
    assert document["targets"][0]["asked_now"] is True
