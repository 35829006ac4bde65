"""Every --help fits a terminal of 80 columns."""

import click
import pytest
from click.testing import CliRunner

from bench.cli.main import group


def _commands() -> list[tuple[str, ...]]:
    context = click.Context(group)
    found: list[tuple[str, ...]] = [()]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(context)]
    return found


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_help_fits_eighty_columns(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = CliRunner().invoke(group, [*words, "--help"])
    assert shown.exit_code == 0
    assert [line for line in shown.output.splitlines() if len(line) > 80] == []
