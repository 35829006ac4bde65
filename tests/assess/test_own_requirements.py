"""A file of requirements that nobody shipped, over recorded runs: each broken item turns its own line red.

Names, targets and limits are others than those of the shipped files, and no code knows them.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.assess.assessment import Assessment, assess
from bench.assess.recommendation import Recommendation
from bench.assess.requirements_file import load_requirements
from bench.assess.sources import read_scenarios
from bench.assess.status import RequirementStatus
from bench.cli.main import run as bench
from bench.core.clock import NS_PER_S
from bench.stack.standing import AskedTarget
from tests.assess.test_documents import COVERAGE, JUNIT, analysis, result
from tests.assess.test_facts import HEALTH, container

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "recorded"
NOW_NS = 1_795_953_600 * NS_PER_S
"""The day after the recordings."""
OWN = Path(__file__).with_name("own_requirements.yaml").read_text()
WORSE_RUNS = {
    "basket-reads": ("p50 < 20ms", "p50 < 1us"),
    "basket-rate": (">= 900/s", ">= 90000/s"),
    "journeys": ("> 40/s", "> 9000/s"),
    "news": ("mean < 20ms", "mean < 1us"),
    "shelf": ("> 4/s", "> 8000/s"),
    "back": ("stable < 9s", "stable < 1us"),
    "noticed": ("engine_event < 5s", "engine_event < 1us"),
    "month": (">= 99%", ">= 99.999999%"),
}
"""A limit that the recorded run breaks."""
WORSE_FILES = {
    "tests": ("tests.xml", JUNIT.format("<failure/>")),
    "covered": ("coverage.xml", COVERAGE.format("0.4")),
    "analysed": ("found.sarif", analysis(result())),
}
WORSE_SETTINGS: dict[str, dict[str, Any]] = {
    "limits": {"Memory": 0},
    "comes-back": {"RestartPolicy": {"Name": "no"}},
}


def assessed(folder: Path, text: str = OWN, **host: Any) -> Assessment:
    (folder / "own.yaml").write_text(text)
    for name, contents in (
        ("tests.xml", JUNIT.format("")),
        ("coverage.xml", COVERAGE.format("0.9")),
        ("found.sarif", analysis()),
    ):
        if not (folder / name).exists():
            (folder / name).write_text(contents)
    baskets = AskedTarget(replace(HEALTH, name="baskets"), container=container(host=host))
    wanted = load_requirements(folder / "own.yaml")
    files = read_scenarios([RECORDED / "scenarios"])
    runs = RECORDED / "runs" / "ed727af"
    return assess(runs, files, NOW_NS, NS_PER_S, wanted, [baskets.health], folder, [baskets])


def red(found: Assessment) -> list[str]:
    return [one.requirement.key for one in found.mets if one.status is RequirementStatus.FAIL]


def shown(found: Assessment) -> set[str]:
    return {one.requirement.key for one in found.mets if one.status.is_shown}


ALL = {*WORSE_RUNS, *WORSE_FILES, *WORSE_SETTINGS}


def test_where_all_of_it_holds_every_line_is_shown(tmp_path: Path) -> None:
    found = assessed(tmp_path)
    assert shown(found) == ALL
    assert red(found) == []
    # The recordings are quick runs, and their own rules want more samples: a warning, by the file's own name.
    assert found.recommendation is Recommendation.WARNINGS
    assert [one.name for one in found.areas()] == ["Baskets", "Outages", "Paper"]


@pytest.mark.parametrize("key", sorted(ALL))
def test_each_item_that_is_broken_turns_exactly_its_own_line_red(tmp_path: Path, key: str) -> None:
    text, host = OWN, {}
    if key in WORSE_RUNS:
        held, broken = WORSE_RUNS[key]
        assert text.count(held) == 1
        text = text.replace(held, broken)
    elif key in WORSE_FILES:
        name, contents = WORSE_FILES[key]
        (tmp_path / name).write_text(contents)
    else:
        host = WORSE_SETTINGS[key]
    found = assessed(tmp_path, text, **host)
    assert red(found) == [key]
    assert shown(found) == ALL - {key}
    assert found.recommendation is Recommendation.NOT_READY
    worst = {one.name: one.status for one in found.areas()}
    area = next(one.requirement.area for one in found.mets if one.requirement.key == key)
    assert [name for name, status in worst.items() if status is RequirementStatus.FAIL] == [area]


@pytest.mark.parametrize("name", ["tests.xml", "coverage.xml", "found.sarif"])
def test_a_document_that_is_gone_leaves_its_own_line_open(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()  # as good as gone
    found = assessed(tmp_path)
    assert red(found) == []
    assert len(shown(found)) == len(ALL) - 1
    assert found.recommendation is Recommendation.CANNOT_TELL


def test_the_shipped_assessment_can_be_shown_by_the_shipped_scenarios_and_by_nothing_less(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = ROOT / "scenarios" / "readiness" / "assessment.yaml"
    assert bench(["validate", str(file)]) == 0
    capsys.readouterr()
    assert bench(["assess", str(tmp_path), "--requirements", str(file), "--format", "json"]) == 5
    document = json.loads(capsys.readouterr().out)
    assert document["recommendation"] == "CANNOT TELL"
    assert document["score"]["shown"] == 0
    areas = {one["area"] for one in document["areas"]}
    assert {"Security", "Operations", "Code quality", "Documentation", "Capacity"} <= areas
