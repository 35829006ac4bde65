"""`bench help TOPIC`: what the reference has, in a terminal of 80 columns."""

from __future__ import annotations

import re

import pytest

from bench.cli.help_command import TOPICS
from bench.cli.main import run
from tests.architecture.reference_page import reference_page

PAGE = reference_page()


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_has_all_that_the_reference_has_and_fits_80_columns(
    topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["help", topic]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if len(line) > 80] == []
    assert "`" not in said
    words = said.split()
    named = re.findall(r"^\| `([^`|]+)` \|", section(topic.capitalize()), re.MULTILINE)
    assert all(all(part in words for part in name.split()) for name in named)
    assert topic == "rules" or len(named) > 20


def test_without_a_topic_the_topics_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help"]) == 0
    said = capsys.readouterr().out
    assert all(f"bench help {topic}" in said for topic in TOPICS)
    assert max(map(len, said.splitlines())) <= 80


def test_an_unknown_topic_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["help", "metric"]) == 2
    assert "'metrics', 'rules', 'faults'" in capsys.readouterr().err
