"""Steps, captures and log-ins in scenario files: what is refused, and where."""

from pathlib import Path

import pytest

from bench.cli.plan_command import describe, text_of
from bench.core.errors import ScenarioError
from bench.core.sanitize import beginning
from bench.plan.compile import compile_plan
from bench.scenario.load import load_scenario

HEAD = """scenario: shop
purpose: a test
workloads:
  - name: web
    target: api
    driver: http
    arrivals: constant
    rate: 10/s
    parameters: {item: {count: 10}}
"""
TAIL = """
phases: [{name: steady, for: 1s}]
sla: [web.errors < 1%]
"""


def problems(tmp_path: Path, workload: str, rules: str = "") -> list[str]:
    file = tmp_path / "shop.yaml"
    text = HEAD + workload + TAIL.replace("sla: [", f"sla: [{rules}")
    file.write_text(text)
    try:
        load_scenario(file)
    except ScenarioError as error:
        return [str(problem) for problem in error.problems]
    return []


GOOD = """
    login:
      request: {method: POST, path: /login, json: {user: u, n: "{item}"}}
      capture: {token: {json: $.access_token}, again: {text: {after: "a=", before: "&"}}}
    headers: {Authorization: "Bearer {token}"}
    operations:
      buy:
        steps:
          - request: {method: POST, path: /carts, expect: {status: 201, json: {"$.a[0].b": 1.50}}}
            capture: {cart: {json: '$["a b"].id'}, json: {header: X-Json}}
          - request:
              path: "/carts/{cart}?a={again}"
              json: {cart: "{cart}", j: "{json}"}
              expect: {header: {X-Count: 5}}
      read: {request: {path: "/{again}", body: "{token}"}}
"""


def test_what_was_captured_stands_in_later_requests(tmp_path: Path) -> None:
    rules = (
        "web.buy.step_2.service.p95 < 1s, web.buy.step_1.errors < 1%, web.login.request.status.2xx > 99%, "
    )
    assert problems(tmp_path, GOOD, rules) == []


def test_a_header_to_expect_is_text_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(HEAD + GOOD.replace("X-Count: 5", "X-Count: 007") + TAIL)
    scenario = load_scenario(tmp_path / "shop.yaml").scenario
    steps = scenario.workloads[0].operations["buy"].steps
    assert steps is not None
    assert steps[1].request.expect.header == {"X-Count": "007"}
    assert steps[0].request.expect.json_values == {"$.a[0].b": 1.5}


STEPS = "\n    operations:\n      buy:\n        steps:\n"


@pytest.mark.parametrize(
    ("workload", "place", "words"),
    [
        (
            STEPS + '          - request: {path: "/{cart}"}\n            capture: {cart: {json: $.id}}\n',
            "14:29: workloads[0].operations.buy.steps[0].request.path",
            "capture it in an earlier step of the same operation",
        ),
        (
            STEPS + '          - request: {path: "/{card}"}\n',
            "14:29: workloads[0].operations.buy.steps[0].request.path",
            "the placeholder",
        ),
        (
            STEPS + "          - request: {path: /}\n            capture: {cart: {json: $..id}}\n",
            "15:36: workloads[0].operations.buy.steps[0].capture.cart.json",
            "a JSON path such as $.items[0].id",
        ),
        (
            STEPS + "          - request: {path: /, expect: {json: {a.b: 1}}}\n",
            "workloads[0].operations.buy.steps[0].request.expect.json",
            "a JSON path such as $.items[0].id",
        ),
        (
            STEPS + "          - request: {path: /}\n            capture: {cart: {json: $.id, header: A}}\n",
            "workloads[0].operations.buy.steps[0].capture.cart",
            "one of json, header and text",
        ),
        (
            STEPS + "          - request: {path: /}\n            capture: {item: {json: $.id}}\n",
            "workloads[0].operations.buy.steps[0].capture.item",
            "a name that no parameter has",
        ),
        (
            STEPS + "          - request: {path: /, method: HEAD}\n            capture: {id: {json: $.id}}\n",
            "workloads[0].operations.buy.steps[0].capture.id",
            "which has no body",
        ),
        (
            "\n    operations: {buy: {request: {path: /}, steps: [{request: {path: /}}]}}\n",
            "workloads[0].operations.buy.steps",
            "either request or steps",
        ),
        (
            '\n    login: {request: {path: "/{token}"}, capture: {token: {json: $.t}}}\n'
            "    operations: {buy: {request: {path: /}}}\n",
            "workloads[0].login.request.path",
            "the placeholder",
        ),
        (
            "\n    login: {request: {path: /l}, capture: {token: {json: $.t}}}\n"
            "    operations: {buy: {steps: [{request: {path: /}, capture: {token: {header: X}}}]}}\n",
            "workloads[0].operations.buy.steps[0].capture.token",
            "whose value stays the lane's",
        ),
        (
            '\n    headers: {A: "{token}"}\n    operations: {buy: {request: {path: /}}}\n',
            "workloads[0].headers.A",
            "the placeholder",
        ),
        (
            STEPS + "          - request: {path: /}\n            capture: {cart: {text: {after: a}}}\n",
            "workloads[0].operations.buy.steps[0].capture.cart",
            "before",
        ),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(
    tmp_path: Path, workload: str, place: str, words: str
) -> None:
    found = problems(tmp_path, workload)
    assert len(found) == 1, found
    assert place in found[0]
    assert words in found[0]


def test_a_step_has_no_metric_of_arrivals(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, GOOD, "web.buy.step_2.response.p95 < 1s, ")
    assert "a metric of this scenario" in found


def test_only_http_has_steps_and_a_log_in(tmp_path: Path) -> None:
    workload = GOOD.replace("    login", "    keys: {count: 1}\n    login")
    text = (
        (HEAD + workload + TAIL)
        .replace("driver: http", "driver: redis")
        .replace("target: api", "target: redis")
    )
    (tmp_path / "shop.yaml").write_text(text)
    with pytest.raises(ScenarioError) as refused:
        load_scenario(tmp_path / "shop.yaml")
    said = str(refused.value)
    assert "login only with the driver http" in said
    assert "command or commands with the driver redis" in said


def test_the_plan_shows_requests_of_steps_and_columns_that_arrivals_take(tmp_path: Path) -> None:
    feeds = """
    feeds:
      user: {columns: {name: [ann], password: [hidden]}}
      thing: {columns: {id: [7]}}
"""
    journey = GOOD.replace("user: u", 'user: "{user.name}", password: "{user.password}"').replace(
        'j: "{json}"', 'j: "{json}", id: "{thing.id}"'
    )
    (tmp_path / "shop.yaml").write_text(HEAD + feeds + journey.lstrip("\n") + TAIL)
    shown = text_of(describe(compile_plan(load_scenario(tmp_path / "shop.yaml").scenario), 3))
    assert "  login.request: POST /login\n  buy.step_1: POST /carts\n" in shown
    assert "  thing.id 7" in shown
    assert "hidden" not in shown


def test_what_came_from_the_environment_is_taken_out_of_answers(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(HEAD + GOOD.replace("user: u", 'user: "${SHOP_SECRET}"') + TAIL)
    load_scenario(tmp_path / "shop.yaml", environment={"SHOP_SECRET": "hunter2-of-shop"})
    assert (
        beginning(b'{"input": "hunter2-of-shop",\n "b": "\x1b[2J"}') == '{"input": "***",  "b": "\\x1b[2J"}'
    )
