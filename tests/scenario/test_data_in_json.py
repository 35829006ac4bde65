"""What unquoted scalars become when they are sent as JSON: values of YAML 1.2, or a refusal."""

import json
from typing import Any

import pytest

from bench.plan.compile import compile_plan

SCENARIO = """\
scenario: example
purpose: shows what becomes of data
workloads:
  - name: load
    target: api
    driver: http
    arrivals: constant
    rate: 10/s
    operations:
      ask: {{request: {{method: POST, path: /, json: {{v: {value}}}}}}}
phases: [{{name: steady, for: 1s}}]
"""


REQUEST = "{request: {method: POST, path: /, json: {v: []}}}"


def in_block(value: str) -> str:
    """The scenario with its value on a line of its own, where YAML takes a reference without quotes."""
    lines = ("", "request:", "  method: POST", "  path: /", "  json:", f"    v: {value}")
    return SCENARIO.format(value="[]").replace(REQUEST, "\n        ".join(lines))


def sent(loaded: Any) -> Any:
    content = compile_plan(loaded.scenario).workloads[0].program.template.tobytes()
    return json.loads(content.partition(b"\r\n\r\n")[2], parse_float=str)["v"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1234567890123456789", 1234567890123456789),
        ("98765432109876543210987654321", 98765432109876543210987654321),
        ("-7", -7),
        ("0", 0),
        ("1e3", "1000.0"),
        ("1E-2", "0.01"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("5.", "5.0"),
        ("1.50", "1.5"),
        ("0x1F", 31),
        ("0o17", 15),
        ("True", True),
        ("FALSE", False),
        ("NULL", None),
        ("~", None),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        ("'01234'", "01234"),
        ("'1e3'", "1e3"),
        ("[0x1F, 'no', True]", [31, "no", True]),
    ],
)
def test_an_unquoted_scalar_is_sent_as_its_yaml_1_2_value(load: Any, written: str, value: Any) -> None:
    assert sent(load(SCENARIO.format(value=written))) == value


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        ("01234", 'write "01234" in quotes for text, or 1234 for the number'),
        ("-007", 'write "-007" in quotes for text, or -7 for the number'),
        ("00", "or 0 for the number"),
        ("+49123", 'write "+49123" in quotes for text, or 49123 for the number'),
        (".inf", "in quotes for text"),
        (".NaN", "in quotes for text"),
        ("1e400", "in quotes"),
        ("1e-400", "in quotes"),
        ("0.12345678901234567890123", "in quotes"),
        ("9" * 400, "put it in quotes"),
    ],
)
def test_a_scalar_that_would_arrive_as_something_else_is_refused_with_advice(
    problems: Any, written: str, advice: str
) -> None:
    (problem,) = problems(SCENARIO.format(value=f"[{{deep: {written}}}]"))
    assert problem.where == "workloads[0].operations.ask.request.json.v[0].deep"
    assert advice in problem.advice


def test_a_password_of_digits_from_the_environment_stays_text_in_quotes(
    load: Any,
) -> None:
    quoted = SCENARIO.format(value='"${APP_PASSWORD}"')
    assert sent(load(quoted, environment={"APP_PASSWORD": "0123456789"})) == "0123456789"
    assert sent(load(in_block("${COUNT}"), environment={"COUNT": "12"})) == 12


def test_a_refused_value_of_the_environment_is_not_shown(problems: Any) -> None:
    (problem,) = problems(in_block("${ZIP}"), environment={"ZIP": "04109"})
    assert "04109" not in str(problem)
    assert "ZIP" in problem.found


def test_an_operation_named_json_holds_no_data(load: Any) -> None:
    text = SCENARIO.format(value="1").replace("ask:", "json: {weight: 010, request: {path: /}}\n      ask:")
    assert load(text).scenario.workloads[0].operations["json"].weight == 10


@pytest.mark.parametrize("written", ["01234", "1e3", "0x1F", "True", "~", "2024-01-01", "+49", "1.50"])
def test_words_of_commands_headers_and_statements_are_sent_as_they_stand(load: Any, written: str) -> None:
    http = SCENARIO.format(value="1").replace("    rate:", f"    headers: {{X-Value: {written}}}\n    rate:")
    assert load(http).scenario.workloads[0].headers == {"X-Value": written}
    redis = (
        SCENARIO.format(value="1")
        .replace("target: api", "target: redis")
        .replace("driver: http", "driver: redis")
        .replace("{request: {method: POST, path: /, json: {v: 1}}}", f"{{command: [SET, a, {written}]}}")
    )
    assert load(redis).scenario.workloads[0].operations["ask"].command == ("SET", "a", written)
