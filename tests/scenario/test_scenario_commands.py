"""The commands list, validate and schema, as a shell sees them."""

import json
from pathlib import Path

import pytest

from bench.cli.main import run


@pytest.fixture
def good_file(tmp_path: Path, good: str) -> Path:
    file = tmp_path / "good.yaml"
    file.write_text(good)
    return file


@pytest.fixture
def bad_file(tmp_path: Path, good: str) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(good.replace("lanes: 50", "lane: 50").replace("for: 30s", "for: 30"))
    return file


def test_validate_says_ok_and_exits_0(good_file, capsys) -> None:
    assert run(["validate", str(good_file)]) == 0
    assert ": ok (1 workload, 2 phases, 33 s, 1 rule)" in capsys.readouterr().out


def test_validate_tells_every_problem_of_every_file_and_exits_3(good_file, bad_file, capsys) -> None:
    assert run(["validate", str(bad_file), str(good_file), str(bad_file.parent / "missing.yaml")]) == 3
    captured = capsys.readouterr()
    assert "ok" in captured.out
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(f"{bad_file}:7:5: workloads[0].lane: expected ")
    assert "no such file" in lines[2]
    assert "Traceback" not in captured.err


def test_validate_checks_overrides(good_file, capsys) -> None:
    assert run(["validate", str(good_file), "--set", "workloads.cache.rate=fast"]) == 3
    assert "--set: workloads[0].rate: expected a rate" in capsys.readouterr().err


def test_validate_prints_hints_within_80_columns(good_file, capsys) -> None:
    assert run(["validate", str(good_file), "--set", "sla.+=cache.throughput >= 1200/s"]) == 0
    out = capsys.readouterr().out
    assert "hint: rule" in out
    assert all(len(line) <= 80 for line in out.splitlines()[1:])


def test_validate_without_a_path_is_a_usage_error(capsys) -> None:
    assert run(["validate"]) == 2


def test_a_scenario_is_found_by_the_name_that_list_prints(tmp_path, good, monkeypatch, capsys) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "file_name.yaml").write_text(good)
    monkeypatch.chdir(tmp_path)
    assert run(["list"]) == 0
    name = capsys.readouterr().out.split()[0]
    assert name != "file_name"
    assert run(["validate", name, "file_name"]) == 0
    assert capsys.readouterr().out.count("file_name.yaml: ok") == 1
    assert run(["validate", name[:-1]]) == 3
    assert f'did you mean "{name}"?' in capsys.readouterr().err
    assert run(["validate", "scenarios"]) == 0


def test_where_there_are_no_scenarios_list_says_what_to_do(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["list"]) == 3
    told = capsys.readouterr().err
    assert "bench list" not in told
    assert "name a file, or go to the folder that holds scenarios/" in told


def test_list_shows_what_each_scenario_asks(good_file, capsys) -> None:
    assert run(["list", str(good_file.parent)]) == 0
    out = capsys.readouterr().out
    assert "shows that a good file is taken as it is" in out
    assert "rule: cache.response.p95 < 10ms warn 8ms" in out


def test_list_goes_on_after_a_bad_file_and_exits_3(good_file, bad_file, capsys) -> None:
    assert run(["list", str(good_file.parent)]) == 3
    captured = capsys.readouterr()
    assert "example" in captured.out
    assert "2 problems" in captured.err


def test_list_of_a_missing_directory_exits_3(tmp_path, capsys) -> None:
    assert run(["list", str(tmp_path / "nowhere")]) == 3


def test_schema_is_json_that_names_the_keys_of_the_file(capsys) -> None:
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"scenario", "workloads", "phases", "sla"} <= schema["properties"].keys()
    assert "for" in schema["$defs"]["Phase"]["properties"]
    assert schema["additionalProperties"] is False
