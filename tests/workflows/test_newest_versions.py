"""The locks, and the night's question which newer version broke what."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.workflows.workflow_job import ROOT

sys.path.insert(0, str(ROOT / ".ci"))
from newest import Answer, failures, moved

LOCKS = (ROOT / "requirements.lock", ROOT / ".ci" / "nox.lock", ROOT / ".ci" / "lint.lock")

WITHOUT_PLUGINS = "-p no:valkey -p no:locust -p no:logfire -p no:pytest_logfire -p no:hypothesispytest"
BROKEN = """
import pytest

class TestOfAClass:
    @pytest.mark.parametrize("value", [1, 2])
    def test_in_a_class(self, value):
        assert value == 1

def test_that_fails():
    assert False

def test_that_passes():
    pass
"""


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_versions_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "//" not in text
    assert not re.search(r"^\s*--(index|find|extra|trusted)", text, re.MULTILINE)
    entries = re.split(r"\n(?=\S)", text)
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


def test_everything_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    names = {re.split(r"[\[<>=;]", line)[0].lower() for line in asked} - {project["project"]["name"]}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", LOCKS[0].read_text(), re.MULTILINE))
    assert names <= locked, names - locked


def test_a_package_counts_as_moved_by_its_version_alone() -> None:
    old = "a==1 \\\n    --hash=sha256:1\nb==2 ; python_version < '3'\nb==3 ; python_version >= '3'\nc==1\n"
    new = "a==1 \\\n    --hash=sha256:2\nb==2 ; python_version < '3'\nb==4 ; python_version >= '3'\nd==1\n"
    assert moved(old, new) == {"b": ("2, 3", "2, 4"), "c": ("1", "-"), "d": ("-", "1")}


def test_failed_tests_get_the_names_that_pytest_takes(tmp_path: Path) -> None:
    # Plugins of other packages, which import their whole libraries, have nothing to do here.
    (tmp_path / "pytest.ini").write_text(f"[pytest]\naddopts = {WITHOUT_PLUGINS}\n")
    (tmp_path / "test_broken.py").write_text(BROKEN)
    (tmp_path / "test_unimportable.py").write_text("import no_such_package\n")
    expected = [
        "test_broken.py::TestOfAClass::test_in_a_class[2]",
        "test_broken.py::test_that_fails",
        "test_unimportable.py",
    ]
    for tests in ([], expected):
        assert sorted(failures(Path(sys.executable), tests, tmp_path, root=tmp_path)) == expected


def test_the_answer_names_the_package_and_what_it_broke() -> None:
    answer = Answer(
        {"pyyaml": ("6.0.2", "6.0.4"), "rich": ("14.0", "15.0")},
        failed=["tests/a.py::one", "tests/a.py::two", "tests/a.py::three"],
        failed_locked=["tests/a.py::three"],
        broken_by={"pyyaml": ["tests/a.py::one"]},
    )
    text = answer.markdown()
    assert "| pyyaml | 6.0.2 | 6.0.4 | `tests/a.py::one` |" in text
    assert "| rich | 14.0 | 15.0 |  |" in text
    assert answer.broken == ["tests/a.py::one", "tests/a.py::two"]
    assert answer.unexplained == ["tests/a.py::two"]
    assert text.index("by none alone") < text.index("tests/a.py::two")
