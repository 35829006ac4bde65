"""Files that are no scenario, or are meant to do harm."""

import os
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError
from bench.scenario import source
from bench.scenario.load import discover, load_scenario


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "a scenario"),
        ("# only a comment\n", "a scenario"),
        ("just words", "a scenario"),
        ("- a\n- b\n", "a scenario"),
        ("a: [" * 200, "at most 32 levels of nesting"),
        ("[" * 100_000, "at most 32 levels of nesting"),
        ("{" * 100_000, "at most 32 levels of nesting"),
        ("- " * 100_000, "at most 32 levels of nesting"),
        ("a: &a [*a]", "an alias of an anchor above"),
        ("? [a, b]\n: c\n", "a name as key"),
        ("[" + "1," * 100_000 + "]", "at most 50000 values"),
        (
            "a: &a\n"
            + "".join(f"b{i}: &b{i} [{','.join([f'*b{i - 1}' if i else '1'] * 9)}]\n" for i in range(12)),
            "aliases",
        ),
        ("a: '", "a closing quote"),
        ("a: b: c", "one value"),
        ('a: "\\q"', "a known escape"),
        ("a: @x", "a value"),
    ],
)
def test_hostile_yaml_is_refused(problems, monkeypatch, loader, text, expected) -> None:
    if not hasattr(source.yaml, loader):
        pytest.skip("this PyYAML was built without libyaml")
    monkeypatch.setattr(source, "_LOADER", getattr(source.yaml, loader))
    assert any(problem.expected.startswith(expected) for problem in problems(text))


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"key{number}: 1" for number in range(20_000)),
        "workloads:\n" + "  - {nam: 1}\n" * 15_000,
        "workloads: [" + "1," * 45_000 + "]",
        "\n".join("same: 1" for _ in range(20_000)),
        "sla: [" + "'${UNSET}'," * 20_000 + "]",
    ],
    ids=[
        "unknown keys",
        "wrong workloads",
        "numbers for workloads",
        "one key again and again",
        "unset variables",
    ],
)
def test_tens_of_thousands_of_problems_are_cut_to_what_can_be_read(problems, text) -> None:
    found = problems(text)
    assert 500 <= len(found) <= 501
    assert len(found) == 500 or found[0].expected == "at most 500 problems"


@pytest.mark.parametrize(
    ("data", "expected", "line", "column"),
    [
        (b"a: 1\nb: \xff\n", "UTF-8 text", 2, 4),
        ("a: 1\n".encode("utf-16"), "UTF-8 text", 1, 1),
        (b"a: 1\nbc: \x00\n", "printable text", 2, 5),
        (b"a: \x1b[31m\n", "printable text", 1, 4),
    ],
)
def test_bytes_that_are_no_text_are_refused_at_their_place(problems, data, expected, line, column) -> None:
    (problem,) = problems(data)
    assert (problem.expected, problem.line, problem.column) == (expected, line, column)


def test_a_file_of_ten_megabytes_is_refused_by_its_size(problems) -> None:
    (problem,) = problems(b"a" * 10_000_000)
    assert problem.expected == "at most 1 MiB"


def test_what_is_no_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    """Opening a pipe that nobody writes to would hang."""
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path, found in [
        (pipe, "a pipe, socket or device"),
        (tmp_path, "a directory"),
        (tmp_path / "missing.yaml", "no such file"),
        (Path("/dev/zero"), "a pipe, socket or device"),
        (tmp_path / ("x" * 300), "File name too long"),
        ("a\0b", "a path that no file can have"),
    ]:
        with pytest.raises(ScenarioError) as refused:
            load_scenario(path)
        assert refused.value.problems[0].found == found


def test_a_file_name_that_is_no_utf8_is_shown_without_harm(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b.yaml")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(name)
    assert "\x1b" not in str(refused.value)
    str(refused.value).encode()


def test_a_directory_without_scenarios_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="a directory with scenario files"):
        discover([tmp_path])
