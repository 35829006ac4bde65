"""What a shell asks of `bench` when somebody presses Tab."""

from __future__ import annotations

import pytest

from bench.cli.main import run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script_and_not_the_help(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", f"{shell}_source")
    assert run([]) == 0
    said = capsys.readouterr().out
    assert f"_BENCH_COMPLETE={shell}_complete" in said
    assert "Usage:" not in said


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bench com", ["compare"]),
        ("bench run --jun", ["--junit"]),
        ("bench stack sta", ["status"]),
        ("bench report --format mark", ["markdown"]),
        ("bench ini", ["init"]),
        ("bench init --op", ["--openapi"]),
        ("bench help me", ["metrics"]),
        ("bench schema --st", ["--stack"]),
    ],
)
def test_commands_options_and_choices_are_completed(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    assert run([]) == 0
    assert [entry.partition(",")[2] for entry in capsys.readouterr().out.split()] == expected
