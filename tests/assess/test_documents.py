"""Evidence of others: what documents show, and that one that is missing, damaged or old shows nothing."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.assess.assessment import Assessment, assess
from bench.assess.documents.kinds import Document
from bench.assess.documents.reading import Unreadable
from bench.assess.documents.reports import Finding, coverage, junit, sarif
from bench.assess.recommendation import Recommendation
from bench.assess.requirements import Requirements
from bench.assess.status import RequirementStatus
from bench.report.assess.forms import render_html, render_json, render_markdown, render_text
from tests.assess.assess_runs import DAY_NS, NO_FILES, NOW_NS

TODAY = datetime.fromtimestamp(NOW_NS / 10**9, UTC)
JUNIT = (
    '<testsuites><testsuite name="a" timestamp="2026-02-09T20:00:00">'
    '<testcase classname="shop.tests" name="test_buys"/>'
    '<testcase classname="shop.tests" name="test_sells">{}</testcase></testsuite></testsuites>'
)
COVERAGE = '<coverage line-rate="{}" branch-rate="0.5" timestamp="1770667200000" version="7"/>'
Shown = Callable[..., Assessment]


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """The assessment of one requirement with these documents, whose folder has these files."""

    def shown(*documents: dict[str, object], key: str = "key", **files: str | bytes) -> Assessment:
        for name, text in files.items():
            (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        one = {"key": key, "area": "Code", "demand": "is sound", "evidence": documents}
        (tmp_path / "results").mkdir(exist_ok=True)
        wanted = Requirements.model_validate({"requirements": [one]})
        return assess(tmp_path / "results", NO_FILES, NOW_NS, 7 * DAY_NS, wanted, folder=tmp_path)

    return shown


def result(**parts: object) -> dict[str, object]:
    return {"ruleId": "B105", "level": "error", **parts}


def analysis(*results: object, **run: object) -> str:
    driver = {"name": "Bandit", "rules": [{"id": "R1", "defaultConfiguration": {"level": "error"}}]}
    made = {"endTimeUtc": "2026-02-09T20:00:00Z", "executionSuccessful": True}
    runs = [{"tool": {"driver": driver}, "invocations": [made], "results": results, **run}]
    return json.dumps({"version": "2.1.0", "runs": runs})


@pytest.mark.parametrize(
    ("inside", "more", "status", "because"),
    [
        ("", {}, "PASS", "2 tests passed"),
        ("<skipped/>", {}, "PASS", "1 test passed, 1 skipped"),
        ("<failure>no</failure><error/>", {}, "FAIL", "1 of 2 tests failed: shop.tests.test_sells"),
        ("", {"tests": 22}, "NOT_SHOWN", "2 tests ran, where at least 22 tests must be run"),
    ],
)
def test_a_junit_report_shows_that_tests_ran_and_none_failed(
    shown: Shown, inside: str, more: dict[str, object], status: str, because: str
) -> None:
    found = shown({"junit": "tests", **more}, tests=JUNIT.format(inside))
    (item,) = found.mets[0].items
    assert (item.status.name, item.because) == (status, because)
    assert item.age_ns == 4 * 3600 * 10**9


def test_a_failure_that_only_the_counts_of_a_junit_report_mention_is_one(shown: Shown) -> None:
    found = shown(
        {"junit": "tests"}, tests='<testsuite tests="2" failures="1"><testcase name="a"/></testsuite>'
    )
    assert found.recommendation is Recommendation.NOT_READY


@pytest.mark.parametrize(
    ("attributes", "rule", "status"),
    [
        ('line-rate="0.8"', "line_rate >= 80%", "PASS"),
        ('line-rate="0.79"', "line_rate >= 80%", "FAIL"),
        ('line-rate="0.82"', "line_rate >= 80% warn 85%", "WARN"),
        ('line-rate="0.9" lines-valid="3" lines-covered="2"', "line_rate >= 80%", "FAIL"),
        ('line-rate="1" lines-valid="0" lines-covered="0"', "line_rate >= 80%", "NOT_SHOWN"),
        ('branch-rate="0.6"', "branch_rate > 50%", "PASS"),
        ('branch-rate="0.6"', "line_rate > 50%", "NOT_SHOWN"),
        ('line-rate="nan"', "line_rate > 50%", "NOT_SHOWN"),
    ],
)
def test_coverage_is_judged_by_its_rule(shown: Shown, attributes: str, rule: str, status: str) -> None:
    head = '<!DOCTYPE coverage SYSTEM "http://127.0.0.1:1/c.dtd">'
    text = f'{head}<coverage {attributes} timestamp="1770667200"/>'
    found = shown({"coverage": "coverage", "rule": rule}, coverage=text)
    assert found.mets[0].items[0].status.name == status


@pytest.mark.parametrize(
    ("text", "more", "status", "because"),
    [
        (analysis(), {}, "PASS", "Bandit found nothing of level error or worse"),
        (analysis(result(level="warning")), {}, "PASS", "1 of a milder level, 0 suppressed"),
        (analysis(result(level="warning")), {"level": "warning"}, "FAIL", "1 finding of level warning"),
        (analysis(result()), {}, "FAIL", "1 finding of level error or worse: B105"),
        (analysis({"ruleId": "R1"}), {}, "FAIL", "R1"),
        (analysis({"ruleId": "R2"}), {}, "PASS", "1 of a milder level"),
        (analysis(result(suppressions=[{"kind": "inSource"}])), {}, "PASS", "1 suppressed"),
        (analysis(result(kind="pass")), {}, "PASS", "milder"),
        (analysis(result(level="fatal")), {}, "FAIL", "B105"),
        (analysis(), {"tool": "trivy"}, "NOT_SHOWN", "it is of Bandit, not of trivy"),
        (
            analysis(invocations=[{"executionSuccessful": False}]),
            {},
            "INCONCLUSIVE",
            "did not run to its end",
        ),
        (analysis(results=None), {}, "INCONCLUSIVE", "says nothing about results"),
        ('{"version": "2.1.0", "runs": []}', {}, "NOT_SHOWN", "not SARIF 2"),
        ("[" * 200_000, {}, "NOT_SHOWN", "not valid JSON"),
    ],
)
def test_findings_of_an_analyser_break_a_requirement_from_a_level_on(
    shown: Shown, text: str, more: dict[str, object], status: str, because: str
) -> None:
    item = shown({"sarif": "bandit", **more}, bandit=text).mets[0].items[0]
    assert item.status.name == status
    assert because in item.because


@pytest.mark.parametrize(
    ("text", "because"),
    [
        (b"", "not well-formed XML"),
        (b"<testsuites><testsuite>", "not well-formed XML"),
        (b"\xff\xfe\x00", "not well-formed XML"),
        (b"<html/>", "it begins with <html>, not with <testsuites> or <testsuite>"),
        (b'<!DOCTYPE a [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><testsuite name="&c;"/>', "it defines entities"),
        (b'<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><testsuite>&a;</testsuite>', "entities"),
        (b"<testsuite>" * 100_000, "nested deeper"),
    ],
)
def test_a_hostile_or_damaged_report_shows_nothing_and_says_why(
    shown: Shown, text: bytes, because: str
) -> None:
    found = shown({"junit": "tests"}, tests=text)
    assert found.recommendation is Recommendation.CANNOT_TELL
    assert because in found.mets[0].because
    assert any(because in reason.text for reason in found.reasons)


def said(reader: Callable[..., Finding], document: Document, data: bytes) -> str:
    """What is said of a document, whether it can be read or not."""
    try:
        return reader(document, data).because
    except Unreadable as unreadable:
        return str(unreadable)


def test_a_report_that_is_too_large_or_missing_shows_nothing(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no " in shown({"junit": "none"}).mets[0].because
    (tmp_path / "folder").mkdir()
    assert "is not a regular file" in shown({"junit": "folder"}).mets[0].because
    monkeypatch.setattr("bench.assess.documents.reading.MOST_BYTES", 10)
    assert "is larger than" in shown({"junit": "tests"}, tests=JUNIT.format("")).mets[0].because


@given(
    st.binary(max_size=200) | st.text(alphabet="<>/&;!\"'= testsuiaecovrg0123.", max_size=80).map(str.encode)
)
@pytest.mark.parametrize("reader", [junit, coverage])
def test_any_bytes_are_a_report_or_a_sentence(reader: Callable[..., Finding], data: bytes) -> None:
    assert said(reader, Document(junit="x"), data)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["2.1.0", "error", "R1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["version", "runs", "tool", "driver", "results", "level", "ruleIndex", "invocations"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON_VALUES)
def test_any_json_is_an_analysis_or_a_sentence(value: object) -> None:
    for document in (value, {"version": "2.1.0", "runs": [value]}, json.loads(analysis(value))):
        assert said(sarif, Document(sarif="x"), json.dumps(document).encode())


def test_an_old_report_shows_nothing_but_what_it_found_broken(shown: Shown) -> None:
    found = shown({"junit": "tests", "max_age": "3h"}, tests=JUNIT.format(""))
    assert found.recommendation is Recommendation.CANNOT_TELL
    assert "where at most 3 h counts" in found.mets[0].because
    found = shown({"junit": "tests", "max_age": "3h"}, tests=JUNIT.format("<failure/>"))
    assert found.recommendation is Recommendation.NOT_READY
    found = shown({"junit": "tests"}, tests=JUNIT.format("").replace("2026", "2027"))
    assert "lies in the future" in found.mets[0].because


def test_all_documents_of_a_requirement_must_hold_and_every_form_shows_them(
    shown: Shown, tmp_path: Path
) -> None:
    files = {"tests": JUNIT.format(""), "bandit": analysis(result(ruleId="B<105>"))}
    found = shown({"junit": "tests"}, {"sarif": "bandit"}, **files)
    assert found.mets[0].status is RequirementStatus.FAIL
    assert found.recommendation is Recommendation.NOT_READY
    for text in (render_html(found, tmp_path), render_markdown(found, tmp_path), render_text(found)):
        assert "JUnit tests" in text
        assert "2 tests passed" in text
        assert "B<105>" not in text or text == render_text(found)
    evidence = json.loads(render_json(found))["requirements"][0]["evidence"]
    assert [one["standing"] for one in evidence] == ["PASS", "FAIL"]


# -- statements --------------------------------------------------------------------------------------


STATEMENT = """\
statement: Backups were restored into an empty cluster; all orders were there.
requirement: restore
owner: dba@example.com
date: 2026-01-15
expires: 2026-07-15
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of the owner and of somebody else, and who may sign."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("owner", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    public = (folder / "owner.pub").read_text().rsplit(" ", 1)[0]
    (folder / "allowed_signers").write_text(f"dba@example.com {public}\n")
    return folder


def signed(
    folder: Path, keys: Path, text: str = STATEMENT, key: str = "owner", name: str = "holdfast"
) -> None:
    """restore.yaml and its signature, and the file of signers."""
    shutil.copy(keys / "allowed_signers", folder)
    (folder / "restore.yaml").write_text(text)
    (folder / "restore.yaml.sig").unlink(missing_ok=True)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", keys / key, "-n", name, folder / "restore.yaml"]
    subprocess.run(command, check=True, capture_output=True)


def test_a_signed_statement_shows_its_requirement_until_its_last_day(
    shown: Shown, keys: Path, tmp_path: Path
) -> None:
    signed(tmp_path, keys)
    found = shown({"statement": "restore.yaml"}, key="restore")
    assert found.recommendation is Recommendation.READY
    assert "dba@example.com on 2026-01-15, until 2026-07-15: Backups were restored" in found.mets[0].because
    signed(tmp_path, keys, STATEMENT.replace("2026-07-15", "2026-02-09"))
    found = shown({"statement": "restore.yaml"}, key="restore")
    assert found.recommendation is Recommendation.CANNOT_TELL
    assert "expired on 2026-02-09; dba@example.com must renew it" in found.mets[0].because
    signed(tmp_path, keys)
    assert (
        "where at most 10 d"
        in shown({"statement": "restore.yaml", "max_age": "10d"}, key="restore").mets[0].because
    )


def test_a_statement_that_was_changed_or_signed_by_another_shows_nothing(
    shown: Shown, keys: Path, tmp_path: Path
) -> None:
    def because(**more: object) -> str:
        found = shown({"statement": "restore.yaml", **more}, key="restore")
        assert found.recommendation is Recommendation.CANNOT_TELL
        return found.mets[0].because

    signed(tmp_path, keys)
    (tmp_path / "restore.yaml").write_text(STATEMENT.replace("2026-07", "2027-07"))
    assert "not signed by dba@example.com" in because()
    signed(tmp_path, keys, key="other")
    assert "not signed by dba@example.com" in because()
    signed(tmp_path, keys, name="git")
    assert "not signed by dba@example.com" in because()
    signed(tmp_path, keys, STATEMENT.replace("dba@", "cto@"))
    assert "not signed by cto@example.com" in because()
    signed(tmp_path, keys)
    assert "it is by dba@example.com, not by cto@example.com" in because(by="cto@example.com")
    assert "has no file of signers" in because(signers="none")
    (tmp_path / "restore.yaml.sig").write_text("no signature")
    assert "not signed by dba@example.com" in because()
    (tmp_path / "restore.yaml.sig").unlink()
    assert "has no signature" in because()
    signed(
        tmp_path,
        keys,
        STATEMENT.replace("restore", "other", 1).replace("requirement: restore", "requirement: r"),
    )
    assert "about the requirement r" in because()
    signed(tmp_path, keys, STATEMENT.replace("2026-01-15", "soon"))
    assert "restore.yaml:4:7: date: expected a day such as 2026-01-31" in because()


def test_a_statement_is_about_files_as_they_were(shown: Shown, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "restore.log").write_text("")
    of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    signed(tmp_path, keys, f"{STATEMENT}files: {{restore.log: 'sha256:{of_nothing}'}}\n")
    assert shown({"statement": "restore.yaml"}, key="restore").recommendation is Recommendation.READY
    (tmp_path / "restore.log").write_text("changed")
    found = shown({"statement": "restore.yaml"}, key="restore")
    assert found.recommendation is Recommendation.NOT_READY
    assert "restore.log is not the file that it was made about" in found.mets[0].because
