"""Feeds: rows of files and which arrival takes which, whatever sends it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import ScenarioError
from bench.plan.compile import compile_plan
from bench.plan.draws import shuffled, stream_key
from bench.plan.plan import Plan
from bench.swarm.distributed.plan_codec import WorkloadMessage

SCENARIO = """\
scenario: example
purpose: shows which arrival takes which row
workloads:
  - name: load
    target: redis
    driver: redis
    arrivals: {arrivals}
    feeds: {{user: {feed}}}
    operations:
      ask: {{command: {command}}}
phases: [{{name: steady, for: 1s}}]
"""
ASK = '[SET, "{user.name}", "{user.age}"]'


def scenario_with(feed: str, command: str = ASK, arrivals: str = "constant\n    rate: 10/s") -> str:
    return SCENARIO.format(feed=feed, command=command, arrivals=arrivals)


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        (
            "u.csv",
            'name,age\nann,40\n"o""neil, b",07\n\n',
            {"name": ("ann", 'o"neil, b'), "age": ("40", "07")},
        ),
        ("u.csv", "name,age\r\nann,40\r\n", {"name": ("ann",), "age": ("40",)}),
        ("u.csv", 'name,age\n"two\nlines",\n', {"name": ("two\nlines",), "age": ("",)}),
        (
            "u.jsonl",
            '{"name": "ann", "age": 40}\n\n{"age": 1.5, "name": "bob"}\n',
            {"name": ("ann", "bob"), "age": (40, 1.5)},
        ),
    ],
)
def test_rows_are_those_of_the_file(
    load: Any, tmp_path: Path, name: str, content: str, columns: dict[str, tuple[object, ...]]
) -> None:
    (tmp_path / name).write_text(content, newline="")
    feed = load(scenario_with(f"{{file: {name}}}")).scenario.workloads[0].feeds["user"]
    assert feed.columns == columns


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("u.csv", "", "expected a first line with a name for each column"),
        ("u.csv", "name,age\n", "expected 1 to 100 000 rows, found u.csv: 0"),
        ("u.csv", "name,name\na,b\n", "or one twice"),
        (
            "u.csv",
            "name,age\nann\n",
            "expected 2 values in each line, as in the first, found u.csv: 1 values in line 2",
        ),
        ("u.csv", 'name,age\n"ann,40\n', "expected CSV as of RFC 4180"),
        ("u.csv", "first name,age\na,b\n", "expected names of letters, digits and _ for the columns"),
        ("u.jsonl", '{"name": "a", "age": 1}\n[1]\n', "found u.jsonl: something else in line 2"),
        ("u.jsonl", '{"name": "a", "age": 1}\n{"name": "b"}\n', "all with the same names"),
        (
            "u.jsonl",
            '{"name": "a", "age": null}\n',
            "expected texts and numbers, found u.jsonl: nothing in row 1 of age",
        ),
        ("u.jsonl", '{"name": "a", "age": {}}\n', "a mapping in row 1 of age"),
        ("u.jsonl", "[" * 100_000, "something else in line 1"),
        ("missing.csv", None, "expected a file of rows beside the scenario"),
    ],
)
def test_a_file_that_has_no_rows_is_refused_with_its_place(
    problems: Any, tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    found = [str(problem) for problem in problems(scenario_with(f"{{file: {name}}}"))]
    assert len(found) == 1
    assert said in found[0]
    assert "/scenario.yaml:9:" in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (scenario_with("{}"), "expected either a file or columns, found neither"),
        (
            scenario_with("{columns: {name: [a], age: [1, 2]}}"),
            "expected columns of one length, found 1 and 2",
        ),
        (scenario_with("{columns: {name: [a, true], age: [1, 2]}}"), "the truth value true in row 2 of name"),
        (scenario_with("{columns: {name: [a], years: [1]}}"), 'found the placeholder "{user.age}"'),
        (
            scenario_with("{columns: {name: [a], age: [1]}}", "[GET, '{users.name}']"),
            "add it to the workload: feeds: {users: {file: users.csv}}",
        ),
        (
            scenario_with(f"{{columns: {{name: [{'x' * 250_000}], age: [1]}}}}").replace(
                "arrivals:", "lanes: 9000\n    arrivals:"
            ),
            "expected lanes x pipeline x the largest request to be at most",
        ),
        (
            scenario_with("{columns: {name: [a], age: [1]}, order: unique}", arrivals="closed"),
            "expected a number of arrivals that is known, for rows that are unique",
        ),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(problems: Any, text: str, said: str) -> None:
    found = [str(problem) for problem in problems(text)]
    assert any(said in problem for problem in found), found


def plan_with(load: Any, order: str, rows: int, **given: str) -> Plan:
    names = ", ".join(f"n{row}" for row in range(rows))
    ages = ", ".join(str(row) for row in range(rows))
    columns = f"{{name: [{names}], age: [{ages}]}}"
    return compile_plan(load(scenario_with(f"{{columns: {columns}, order: {order}}}", **given)).scenario)


def test_unique_rows_are_as_many_as_arrivals_or_the_plan_is_refused(load: Any) -> None:
    plan_with(load, "unique", 10)
    with pytest.raises(ScenarioError, match=r"a row for each planned arrival.*found 9 rows"):
        plan_with(load, "unique", 9)


def test_a_worker_has_the_rows_without_the_file(load: Any, tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("name,age\nann,40\n")
    workload = load(scenario_with("{file: u.csv}")).scenario.workloads[0]
    assert WorkloadMessage.of(workload).workload().feeds == workload.feeds


def test_a_plan_without_feeds_says_nothing_of_them(load: Any) -> None:
    text = scenario_with("{columns: {name: [a], age: [1]}}").replace("feeds:", "x: #", 1)
    dumped = load(text.replace("    x: #", "    #").replace(ASK, "[PING]")).scenario.workloads[0]
    assert "feeds" not in dumped.model_dump_json()


@given(st.integers(1, 200), st.integers(0, 2**62), st.integers(0, 50))
def test_each_pass_over_shuffled_rows_has_every_row_once(count: int, seed: int, turn: int) -> None:
    with np.errstate(over="ignore"):
        key = np.uint64(stream_key(seed, 17))
        drawn = [int(shuffled(key, count, turn * count + place)) for place in range(count)]
    assert sorted(drawn) == list(range(count))


def test_passes_over_shuffled_rows_differ() -> None:
    with np.errstate(over="ignore"):
        key = np.uint64(stream_key(3, 17))
        passes = [
            tuple(int(shuffled(key, 20, turn * 20 + place)) for place in range(20)) for turn in range(50)
        ]
    assert len(set(passes)) == 50
