"""`bench run --stack FILE`: the targets of the file are driven, hit, sampled and reported by their names."""

from __future__ import annotations

import json
import socket

import pytest

from tests.helpers.command_line import Bench
from tests.helpers.scenarios import BRIEF
from tests.helpers.tls_servers import Authority, redis_over_tls

pytestmark = pytest.mark.timeout(300)

STACK = """\
stack: shop
targets:
  cache: {kind: redis, embedded: {}, settings: {maxmemory: 64mb}}
  db: {kind: postgres, embedded: {}}
  web: {kind: http, embedded: {}, behind: [cache, db]}
"""
SCENARIO = """\
scenario: shop
purpose: The shop answers while its cache restarts
workloads:
  - name: pages
    target: web
    driver: http
    lanes: 4
    operations: {health: {request: {method: GET, path: /health}}}
    arrivals: poisson
    rate: 50/s
phases: [{name: steady, for: 4s}]
faults: [{stop: cache, at: 1s, for: 500ms}]
sla: [pages.response.p99 < 3s, cache.cpu < 100%]
"""


def test_a_scenario_runs_on_a_stack_of_the_users_own_names(bench: Bench) -> None:
    stack = bench.scenario(STACK, "shop.yaml")
    scenario = bench.scenario(SCENARIO)
    assert bench("validate", str(scenario)).code == 3
    assert bench("validate", str(scenario), "--stack", stack).code == 0
    done = bench.run(scenario, "--stack", str(stack))
    assert done.code in {0, 5}, done.err  # a busy machine cannot tell
    record = bench.record()
    assert record["stack"]["kind"] == "shop"
    assert record["stack"]["file"] == str(stack)
    behind = {target["name"]: target["behind"] for target in record["stack"]["targets"]}
    assert behind == {"cache": [], "db": [], "web": ["cache", "db"]}
    (fault,) = record["faults"]
    assert fault["target"] == "cache"
    assert fault["effective_ns"] is not None
    assert fault["healed_ns"] is not None, fault
    report = bench("report", str(bench.folders()[-1]))
    assert f"--stack {stack}" in " ".join(report.out.split())
    assert "db" in report.out


@pytest.mark.long
def test_the_scenario_itself_may_name_its_stack(bench: Bench) -> None:
    (bench.folder / "stacks").mkdir()
    (bench.folder / "stacks" / "shop.yaml").write_text(STACK)
    scenario = bench.scenario("stack: stacks/shop.yaml\n" + BRIEF.replace("target: redis", "target: cache"))
    other = bench.scenario(BRIEF, "other.yaml")
    both = bench("run", str(scenario), str(other), "--out", str(bench.results))
    assert both.code in {0, 5}, both.err
    assert bench.record()["stack"]["kind"] == "shop"
    assert [target["name"] for target in bench.record()["stack"]["targets"]] == ["cache"]
    assert json.loads((bench.folders()[-2] / "run.json").read_text())["stack"]["kind"] == "embedded"


def test_a_stack_that_a_scenario_names_and_that_is_none_is_a_problem_of_the_scenario(bench: Bench) -> None:
    scenario = bench.scenario("stack: nowhere\n" + BRIEF)
    for done in (bench("validate", scenario), bench("run", scenario)):
        assert done.code == 3
        assert 'brief.yaml: stack: expected a shipped stack, or a stack file, found "nowhere"' in done.err


def test_a_stack_file_that_is_wrong_ends_the_command_before_anything_starts(bench: Bench) -> None:
    stack = bench.scenario(STACK.replace("kind: http", "kind: htp"), "shop.yaml")
    done = bench("run", bench.scenario(SCENARIO), "--stack", stack)
    assert done.code == 3
    assert "shop.yaml:5:15: targets.web.kind: expected one of redis" in done.err
    missing = bench("run", bench.scenario(SCENARIO), "--stack", "missing.yaml")
    assert missing.code == 3
    assert "missing.yaml: file: expected a stack file, found no such file" in missing.err


@pytest.mark.long
@pytest.mark.parametrize("engine", ["wire", "client"])
def test_a_run_over_tls_says_how_far_the_certificate_was_checked(bench: Bench, engine: str) -> None:
    authority = Authority(bench.folder)
    pair = authority.sign("server", "server")
    scenario = bench.scenario(BRIEF.replace("target: redis", f"target: cache\n    engine: {engine}"))
    with redis_over_tls(bench.folder / "redis", authority.ca, pair) as port:
        for tls, said in (("ca: ca.pem", "TLS"), ("verify: false", "TLS, certificate not verified")):
            target = f"{{kind: redis, url: 'rediss://127.0.0.1:{port}', tls: {{{tls}}}}}"
            stack = bench.scenario(f"stack: far\ntargets:\n  cache: {target}\n", "far.yaml")
            done = bench.run(scenario, "--stack", str(stack))
            assert done.code in {0, 5}, done.err
            assert bench.record()["stack"]["targets"][0]["tls"] == said
            report = bench("report", bench.folders()[-1]).out
            assert f", {said})" in " ".join(report.split())


def text_of(bench: Bench) -> list[str]:
    """All that a command has left in its folder, but for what it was given."""
    return [path.read_text("utf-8", "replace") for path in bench.results.rglob("*") if path.is_file()]


def test_a_password_of_the_environment_reaches_no_output(bench: Bench) -> None:
    stack = bench.scenario(
        'stack: far\ntargets: {cache: {kind: redis, url: "redis://:${CACHE_PASSWORD}@127.0.0.1:1"}}\n',
        "far.yaml",
    )
    scenario = bench.scenario(BRIEF.replace("target: redis", "target: cache"))
    done = bench.run(scenario, "--stack", str(stack), CACHE_PASSWORD="hunter2")
    assert done.code == 4
    assert "127.0.0.1:1" in done.err
    assert "hunter2" not in done.out + done.err + "".join(text_of(bench))


def test_status_and_assess_look_at_what_a_stack_file_describes_and_start_nothing(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        stack = bench.scenario(
            f"stack: s\ntargets:\n  open: {{kind: tcp, url: 'tcp://127.0.0.1:{port}'}}\n"
            "  mine: {kind: redis, embedded: {}}\n",
            "s.yaml",
        )
        done = bench("stack", "status", "--stack", stack, "--json")
        assert done.code == 0, done.err
        (row,) = json.loads(done.out)["targets"]
        assert (row["name"], row["state"]) == ("open", "up")
        assessed = bench("assess", str(bench.folder), "--stack", stack, "--format", "json")
        assert '"open"' in assessed.out, assessed.err
    assert bench("stack", "status", "--stack", stack).code == 4
    refused = bench("stack", "up", "--stack", stack)
    assert refused.code == 2
    assert "is started by bench run --stack" in refused.err
    unknown = bench("ui", "--stack", "nowhere")
    assert unknown.code == 2
    assert 'found "nowhere"' in unknown.err
