"""The tutorial's files are good scenarios, and the commands that need no target print what it shows."""

import re
from pathlib import Path

import pytest

from bench.cli.main import run

TUTORIAL = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = {
    f"{re.findall(r'`([a-z]+)[.]yaml`', TUTORIAL[: block.start()])[-1]}.yaml": block[1]
    for block in re.finditer(r"^```yaml\n(.*?)^```", TUTORIAL, re.MULTILINE | re.DOTALL)
}
FILES["typo.yaml"] = (
    FILES["shop.yaml"].replace("rate: 200/s", "rate: 200").replace("pages.errors", "page.errors")
)
SHOWN = dict(re.findall(r"^\$ (bench [^\n]*)\n(.*?)(?=^```|^\$ )", TUTORIAL, re.MULTILINE | re.DOTALL))
CUT = "…"


@pytest.fixture(autouse=True)
def beside_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_tutorial_has_the_files_that_its_commands_name() -> None:
    assert set(FILES) == {"shop.yaml", "strict.yaml", "cache.yaml", "partition.yaml", "typo.yaml"}


@pytest.mark.parametrize("name", ["shop.yaml", "cache.yaml", "partition.yaml"])
def test_a_scenario_of_the_tutorial_is_good(name: str) -> None:
    assert run(["validate", name]) == 0


@pytest.mark.parametrize(
    "command", ["bench validate shop.yaml", "bench validate typo.yaml", "bench plan shop.yaml"]
)
def test_a_command_of_the_tutorial_prints_what_is_shown(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(command.split()[1:])
    captured = capsys.readouterr()
    said = (captured.out + captured.err).strip()
    pattern = ".*".join(map(re.escape, SHOWN[command].strip().split(CUT)))
    assert re.fullmatch(pattern, said, re.DOTALL), said
