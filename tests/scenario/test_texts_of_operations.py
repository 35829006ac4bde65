"""SQL and requests in a scenario: what stands in quotes, in JSON, in headers, and names of any kind."""

from typing import Any

import pytest

from bench.core.sql_splitter import bare, quoted_stretches
from bench.drivers.postgres.wire import statements_of
from bench.plan.compile import compile_plan

HEAD = """\
scenario: example
purpose: shows what becomes of texts
workloads:
  - name: load
    target: {target}
    driver: {driver}
    arrivals: constant
    rate: 10/s
    parameters: {{a: {{count: 100}}}}
    value: {{bytes: 20}}
"""
TAIL = "\nphases: [{name: steady, for: 1s}]\n"
SQL = HEAD.format(target="postgres", driver="postgres")
HTTP = HEAD.format(target="api", driver="http")


def with_sql(statement: str) -> str:
    lines = "\n".join("          " + line for line in statement.split("\n"))
    return f"{SQL}    operations:\n      ask:\n        sql: |-\n{lines}{TAIL}"


def with_request(request: str, headers: str = "{}") -> str:
    return f"{HTTP}    headers: {headers}\n    operations:\n      ask: {{request: {request}}}{TAIL}"


@pytest.mark.parametrize(
    ("statement", "sent"),
    [
        ("SELECT {a}::int,'x',{a}", "SELECT $1::int,'x',$1"),
        (r"SELECT E'it\'s', {a}, 'x'", r"SELECT E'it\'s', $1, 'x'"),
        ("SELECT $q1$ {a} $q1$, {a}", "SELECT $q1$ {a} $q1$, $1"),
        ("SELECT $$ {a} $$, {a}", "SELECT $$ {a} $$, $1"),
        ("SELECT x$b$c, {a}, y$b$d", "SELECT x$b$c, $1, y$b$d"),
        ("SELECT 1 -- don't {a}\n, {a}", "SELECT 1 -- don't {a}\n, $1"),
        ("SELECT /* a /* b */ {a} */ {a}", "SELECT /* a /* b */ {a} */ $1"),
        ('SELECT "{a}" + {a}', 'SELECT "{a}" + $1'),
    ],
)
def test_placeholders_outside_of_quotes_and_comments_become_parameters(
    load: Any, statement: str, sent: str
) -> None:
    workload = load(with_sql(statement)).scenario.workloads[0]
    assert [one.sql for one in statements_of(workload).values()] == [sent]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("SELECT $1, {a}", 'found "$1"'),
        ("SELECT E'\\'{a}'", "found it inside a string"),
        ("/* COPY */ COPY t FROM STDIN", 'found "COPY"'),
        ("SELECT 1; SELECT 2", "found several"),
        ("-- nothing", "found no SQL"),
    ],
)
def test_sql_that_a_lane_cannot_send_is_refused(problems: Any, statement: str, found: str) -> None:
    (problem,) = problems(with_sql(statement))
    assert found in str(problem)
    assert problem.where == "workloads[0].operations.ask.sql"


def test_a_nul_in_sql_is_refused(problems: Any) -> None:
    (problem,) = problems(f'{SQL}    operations:\n      ask: {{sql: "SELECT 1 \\0"}}{TAIL}')
    assert "a NUL character" in problem.found


def test_quoted_stretches_reach_to_the_end_where_a_quote_is_not_closed() -> None:
    for text in ("SELECT 'a", 'SELECT "a', "SELECT $$a", "SELECT /* a", r"SELECT E'a\'"):
        assert quoted_stretches(text)[0][1] == len(text)
        assert bare(text).rstrip() == "SELECT"
        assert len(bare(text)) == len(text)


@pytest.mark.parametrize("name", ["session", "headers", "body", "json", "sql", "contains", "command"])
def test_an_operation_may_have_any_name(load: Any, name: str) -> None:
    request = "{path: '/{body}', expect: {status: 200}}"
    text = f"{HTTP}    operations:\n      {name}: {{weight: 3, request: {request}}}{TAIL}"
    workload = load(text.replace("{a:", "{body: {count: 9}, a:")).scenario.workloads[0]
    operation = workload.operations[name]
    assert workload.parameters["body"].size == 9
    assert (operation.weight, operation.request.expect.status) == (3.0, (200,))


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        ("""{method: POST, path: /, json: '{"b": -{a}}'}""", "line 1, column 7 of the body"),
        ("""{method: POST, path: /, json: '{"b": {value}}'}""", "line 1, column 7 of the body"),
        ("""{method: POST, path: /, json: '{"b": {a}, c}'}""", "line 1, column 12 of the body"),
        ("""{method: POST, path: /, json: '{"b": NaN}'}""", "NaN, a number that JSON does not have"),
        ("{method: POST, path: /, json: '" + "[" * 100_000 + "'}", "too many levels"),
        ("{path: '/a#b'}", '"/a#b"'),
    ],
)
def test_requests_that_would_not_arrive_as_they_look_are_refused(
    problems: Any, request_: str, found: str
) -> None:
    (problem,) = problems(with_request(request_))
    assert found in problem.found


def body_of(loaded: Any) -> bytes:
    content = compile_plan(loaded.scenario).workloads[0].program.template.tobytes()
    return content.partition(b"\r\n\r\n")[2]


def test_placeholders_in_keys_of_json_are_replaced(load: Any) -> None:
    assert body_of(load(with_request("{method: POST, path: /, json: {'k{a}': '{a}'}}"))) == b'{"k00":00}'


def test_the_content_type_of_the_request_decides_before_that_of_the_workload(load: Any) -> None:
    def forms(request: str) -> list[int]:
        loaded = load(with_request(request, headers="{Content-Type: application/json}"))
        return [int(form) for form in compile_plan(loaded.scenario).workloads[0].program.fields[:, 5]]

    json_form = forms("{method: POST, path: /, body: '[{a}]'}")
    text_form = forms("{method: POST, path: /, headers: {content-type: text/csv}, body: 'a;{a}'}")
    assert json_form == [1]  # padded with blanks
    assert text_form == [0]


def test_a_header_from_the_environment_is_never_shown(problems: Any) -> None:
    text = with_request("{path: /}", headers='{Authorization: "Bearer ${TOKEN}"}')
    found = problems(text, environment={"TOKEN": "top\nsecret"})
    assert "secret" not in "".join(map(str, found))
    assert "several lines" in found[0].found


def test_requests_too_large_for_all_lanes_are_refused(problems: Any) -> None:
    text = with_request("{method: POST, path: /, body: '{value}'}").replace("bytes: 20", "bytes: 16MiB")
    (problem,) = problems(text.replace("    rate:", "    lanes: 1000\n    rate:"))
    assert "lanes x pipeline x the largest request" in problem.expected
