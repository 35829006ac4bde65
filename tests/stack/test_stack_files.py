"""Stack files: targets by names of the user's own, every problem with its place."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import ScenarioError, TargetError, UsageError
from bench.registry import TargetOutline, shipped_topology
from bench.scenario.load import discover, load_scenario
from bench.stack.assembled import AssembledStack
from bench.stack.embedded import EmbeddedStack
from bench.stack.stack_file import StackFile, find_stack_file, load_stack_file, stack_schema
from bench.stack.target_url import url_of

SCENARIOS = Path(__file__).parents[2] / "scenarios"
Read = Callable[[str], StackFile]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the text of a stack file whose name is stack.yaml."""

    def of_text(text: str) -> StackFile:
        file = tmp_path / "stack.yaml"
        file.write_text(text)
        return load_stack_file(file)

    return of_text


def problems_of(read: Read, text: str) -> str:
    with pytest.raises(ScenarioError) as refused:
        read(text)
    return "\n".join(map(str, refused.value.problems))


@pytest.mark.parametrize("name", ["embedded", "docker"])
def test_the_shipped_files_say_what_the_stacks_of_their_names_start(name: str) -> None:
    file = load_stack_file(SCENARIOS / "stacks" / f"{name}.yaml")
    edge = {"edge": TargetOutline("http", ("api",))} if name == "docker" else {}
    assert file.name == name
    assert dict(file.topology) == shipped_topology() | edge


def test_the_shipped_files_are_right_and_are_no_scenarios() -> None:
    files = sorted((SCENARIOS / "stacks").glob("*.yaml"))
    assert [load_stack_file(file).name for file in files] == [
        "behind_proxy",
        "behind_proxy_draining",
        "compose",
        "docker",
        "embedded",
        "embedded_actions",
        "external",
        "postgres_standby",
        "redis_cluster",
        "redis_sentinel",
        "small_disk",
        "tls",
    ]
    assert not set(files) & set(discover([SCENARIOS]))


def test_the_shipped_files_name_the_schema_that_the_models_give() -> None:
    """Written by `bench schema --stack > scenarios/stack.schema.json`."""
    assert json.loads((SCENARIOS / "stack.schema.json").read_text()) == stack_schema()
    for file in (SCENARIOS / "stacks").glob("*.yaml"):
        assert file.read_text().startswith("# yaml-language-server: $schema=../stack.schema.json\n")


def test_targets_have_the_names_of_the_file(read: Read) -> None:
    file = read(
        "stack: shop\ntargets:\n  cache: {kind: redis, url: 'redis://127.0.0.1:1/2'}\n"
        "  pooled: {kind: postgres, url: 'postgresql://a@127.0.0.1:2/x', pooler: transaction}\n"
        "  web: {kind: http, url: 'http://127.0.0.1:3', behind: [cache]}\n"
    )
    assert {name: target.address for name, target in file.described.items()} == {
        "cache": "127.0.0.1:1",
        "pooled": "127.0.0.1:2",
        "web": "127.0.0.1:3",
    }
    assert file.described["cache"].db == 2
    assert file.described["pooled"].pooler == "transaction"
    assert file.with_needs({"web"}) == ["cache", "web"]


def test_targets_share_what_a_block_of_extensions_says(read: Read) -> None:
    file = read(
        "x-kind: &kind {kind: redis}\nstack: shop\ntargets:\n"
        "  cache: {<<: *kind, url: 'redis://127.0.0.1:1'}\n  board: {<<: *kind, url: 'redis://127.0.0.1:2'}\n"
    )
    assert [target.kind for target in file.targets.values()] == ["redis", "redis"]


def test_tls_has_its_files_beside_the_stack_file(read: Read, tmp_path: Path) -> None:
    file = read(
        "stack: x\ntargets:\n  c: {kind: redis, url: 'rediss://h', tls: {ca: ca.pem, server_name: cache}}\n"
        "  p: {kind: postgres, url: 'postgresql://a@h/x', tls: {verify: false}}\n"
    )
    cache, postgres = file.described["c"].tls, file.described["p"].tls
    assert cache is not None
    assert (cache.ca, cache.server_name, cache.verify) == (tmp_path / "ca.pem", "cache", True)
    assert postgres is not None
    assert not postgres.verify


def test_a_file_dotenv_beside_it_is_read_after_the_environment(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_PORT", "7001")
    (tmp_path / ".env").write_text("# ports\nCACHE_PORT=1\nexport CACHE_PASSWORD='s3 cret'\n\n")
    file = read(
        'stack: x\ntargets: {c: {kind: redis, url: "redis://:${CACHE_PASSWORD}@127.0.0.1:${CACHE_PORT}"}}'
    )
    assert file.described["c"].address == "127.0.0.1:7001"
    assert file.described["c"].password == "s3 cret"
    assert file.warnings == ()


def test_a_line_of_dotenv_that_is_none_is_refused_without_its_text(read: Read, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nhunter2\n")
    found = problems_of(read, "stack: x\ntargets: {c: {kind: redis, embedded: {}}}")
    assert ".env:2:1: line: expected NAME=VALUE" in found
    assert "hunter2" not in found


def test_a_password_in_the_file_is_warned_of_without_it(read: Read) -> None:
    file = read("stack: x\ntargets:\n  c: {kind: redis, url: 'redis://app:hunter2@127.0.0.1:1'}\n")
    (warning,) = file.warnings
    assert "stack.yaml:3: targets.c.url holds a password" in warning
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            "{kind: redis}",
            "targets.c: expected exactly one of url, sentinel, cluster, embedded, docker, compose, found",
        ),
        ("{kind: redis, url: 'redis://h', embedded: {}}", "found url and embedded"),
        ("{kind: mongo, url: 'x'}", "targets.c.kind: expected one of redis, postgres, http"),
        ("{kind: redis, urrl: 'x'}", 'the unknown key "urrl"; write "url"'),
        ("{kind: redis, url: 'http://h'}", "targets.c.url: expected redis://"),
        ("{kind: redis, url: '${NOT_SET_AT_ALL}'}", "the environment variable NOT_SET_AT_ALL"),
        ("{kind: postgres, embedded: {version: 12}}", "a kind and version that we can start"),
        ("{kind: neo4j, embedded: {}}", "a kind and version that we can start"),
        ("{kind: redis, docker: {}}", "the name redis for a container of ours"),
        ("{kind: http, embedded: {}}", "a redis, a postgres, which our http service needs, found none"),
        ("{kind: redis, embedded: {}, behind: [zz]}", 'one of the targets c, found "zz"'),
        ("{kind: http, url: 'http://h', behind: [c]}", "targets that do not need this one, found a circle"),
        ("{kind: redis, url: 'redis://h', settings: {a: 1}}", "settings only with embedded"),
        ("{kind: redis, url: 'redis://h', tls: {}}", "a URL that asks for TLS, as rediss:// does"),
        ("{kind: redis, embedded: {}, tls: {}}", "tls only with a url"),
        ("{kind: redis, url: 'redis://h', pooler: session}", "a pooler only before a postgres"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_at_its_place(read: Read, target: str, expected: str) -> None:
    found = problems_of(read, f"stack: x\ntargets:\n  c: {target}\n")
    assert expected in found
    assert found.startswith(found.split("stack.yaml:3:")[0] + "stack.yaml:3:")


def test_all_problems_of_a_file_are_reported_at_once(read: Read) -> None:
    found = problems_of(
        read,
        "stack: x\ntargets:\n  a: {kind: redis}\n  b: {kind: redis, url: 'http://h'}\n"
        "allow: {faults: [zz]}\n",
    )
    assert found.count("\n") == 2


def test_a_name_that_is_no_stack_lists_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "staging.yaml").write_text("")
    assert find_stack_file("embedded") is None
    assert find_stack_file("staging") == Path("stacks/staging.yaml")
    with pytest.raises(
        UsageError, match=r'external, staging or the path .* found "stagin"; did you mean "staging"'
    ):
        find_stack_file("stagin")


def test_a_scenario_names_the_targets_of_its_stack(read: Read, tmp_path: Path) -> None:
    file = read("stack: x\ntargets: {cache: {kind: redis, embedded: {}}}")
    scenario = tmp_path / "s.yaml"
    text = (SCENARIOS / "redis_throughput.yaml").read_text()
    scenario.write_text(text.replace("target: redis", "target: cache"))
    with pytest.raises(
        ScenarioError, match='expected the target "redis" for the driver "redis", found "cache"'
    ):
        load_scenario(scenario)
    loaded = load_scenario(scenario, topology=file.topology)
    assert {workload.target for workload in loaded.scenario.workloads} == {"cache"}
    scenario.write_text(text)
    with pytest.raises(
        ScenarioError, match='expected the target "cache" for the driver "redis", found "redis"'
    ):
        load_scenario(scenario, topology=file.topology)


def test_a_target_that_the_file_does_not_have_is_no_part_of_the_stack(read: Read, tmp_path: Path) -> None:
    file = read("stack: x\ntargets: {cache: {kind: redis, embedded: {}}}")
    with pytest.raises(TargetError, match="a target of the stack file: cache"):
        AssembledStack(file, {"redis"}, tmp_path)


def test_two_of_a_kind_and_one_that_runs_already_are_one_stack(read: Read, tmp_path: Path) -> None:
    with EmbeddedStack({"postgres"}, tmp_path) as running:
        file = read(
            "stack: shop\ntargets:\n"
            "  cache: {kind: redis, embedded: {}, settings: {maxmemory: 64mb}}\n"
            "  sessions: {kind: redis, embedded: {}}\n"
            f"  db: {{kind: postgres, url: '{url_of(running.targets()['postgres'])}'}}\n"
            "  web: {kind: http, embedded: {}, behind: [cache, db]}\n"
            "allow: {faults: [db]}\n"
        )
        with AssembledStack(file, {"web", "sessions"}, tmp_path) as stack:
            states = {row.name: row.state for row in stack.health()}
            assert states == dict.fromkeys(("cache", "db", "sessions", "web"), "up")
            described = {target.name: target for target in stack.describe()}
            assert described["web"].behind == ["cache", "db"]
            assert (described["cache"].settings or {})["maxmemory"] == "64mb"
            assert described["db"].started_by == "not by us: the stack file"
            assert stack.service("cache") is not None
            assert stack.service("db") is None
            assert stack.targets()["cache"].managed
            assert not stack.targets()["db"].managed
            assert stack.faults_allowed == ("db",)
            ports = {target.port for target in stack.targets().values()}
            assert len(ports) == 4
        assert [row.state for row in running.health()] == ["up"]


def test_another_machine_gets_load_only_where_the_file_allows_its_host(read: Read, tmp_path: Path) -> None:
    text = "stack: x\ntargets: {cache: {kind: redis, url: 'redis://192.0.2.1:1'}}\n"
    with pytest.raises(TargetError, match="hosts: in a stack file"):
        AssembledStack(read(text), {"cache"}, tmp_path).start()
    # Allowed, it is tried: nothing of ours is there.
    loopback = text.replace("192.0.2.1", "127.0.0.1")
    with pytest.raises(TargetError, match="refused"):
        AssembledStack(read(loopback + "allow: {hosts: [192.0.2.1]}\n"), {"cache"}, tmp_path).start()
