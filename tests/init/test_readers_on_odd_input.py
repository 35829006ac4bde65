"""Whatever stands in a compose file or an OpenAPI document: files that validate, or problems with a place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import ExitCode, ScenarioError
from bench.init.compose_file import read_compose
from bench.init.findings import Findings, FoundTarget, stack_name
from bench.init.openapi import read_document
from bench.init.written_files import scenario_text, stack_text
from bench.scenario.load import load_scenario
from bench.scenario.source import read_text
from bench.stack.stack_file import load_stack_file

COMPOSE = (Path(__file__).parent / "compose.yaml").read_text()
WORDS = st.one_of(
    st.text(max_size=12), st.sampled_from(["redis", "a: b", "${X}", "${X:-y}", "#", "80", "\u2028"])
)
VALUES = st.recursive(
    st.one_of(WORDS, st.integers(-5, 99999), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
IMAGES = st.sampled_from(
    ["redis:7", "postgres", "nginx:1", "neo4j", "x/y/valkey@sha256:1", "mysql", "", "${I:-redis}"]
)
NAMES = st.one_of(st.sampled_from(["a", "b", "c", "api-1", "1x", "embedded"]), WORDS)
PORTS = st.one_of(
    st.sampled_from(
        ["6379:6379", "127.0.0.1:5432:5432", 80, "8000-8005", "53:53/udp", "${P:-1}:${Q}", "[::1]:1:2"]
    ),
    st.fixed_dictionaries({"target": st.integers(0, 70000), "published": VALUES}),
    VALUES,
)


def with_odd(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings with some of these keys, each as it should be or as anything."""
    return st.fixed_dictionaries({}, optional={key: st.one_of(form, VALUES) for key, form in known.items()})


SERVICES = with_odd(
    {
        "image": IMAGES,
        "build": st.just("."),
        "ports": st.lists(PORTS, max_size=3),
        "environment": st.dictionaries(st.sampled_from(["POSTGRES_USER", "REDIS_PASSWORD", "U"]), WORDS),
        "command": st.sampled_from(["redis-server --requirepass ${PW}", "redis-server --requirepass x"]),
        "depends_on": st.lists(NAMES, max_size=4),
        "scale": st.integers(0, 3),
        "deploy": st.fixed_dictionaries({"replicas": st.integers(0, 3)}),
        "profiles": st.lists(WORDS, max_size=2),
        "<<": st.lists(st.dictionaries(WORDS, VALUES, max_size=2), max_size=2),
    }
)
PARAMETERS = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"name": WORDS, "in": st.sampled_from(["path", "query", "header"]), "required": st.booleans()}
        ),
        st.fixed_dictionaries({"$ref": st.sampled_from(["#/components/x", "#/", "http://x"])}),
        VALUES,
    ),
    max_size=3,
)
OPERATION = with_odd(
    {"parameters": PARAMETERS, "security": st.lists(VALUES, max_size=2), "operationId": WORDS}
)
PATHS = st.one_of(
    st.sampled_from(
        ["/", "/a/{id}", "/a/{id}/{key}", "/${X}", "/a{", "/{{}}", "/b?x={y}", '/"q"', "/\\n", "/a-b"]
    ),
    WORDS.map(lambda word: f"/{word}"),
    WORDS,
)
DOCUMENTS = st.fixed_dictionaries(
    {
        "paths": st.dictionaries(
            PATHS, with_odd({"get": OPERATION, "post": OPERATION, "parameters": PARAMETERS})
        )
    },
    optional={"servers": VALUES, "info": VALUES, "security": VALUES, "basePath": VALUES},
)


def refused(error: ScenarioError) -> None:
    assert error.exit_code == ExitCode.SCENARIO
    assert error.problems
    assert all(problem.file.endswith("given.yaml") and problem.line >= 1 for problem in error.problems)


def expect_files_that_validate(findings: Findings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not any(target.driver for target in findings.usable):
        return
    for target in findings.usable:
        if target.secret:
            monkeypatch.setenv(target.secret, "word")
    (folder / "stacks").mkdir(exist_ok=True)
    scenario, stack = folder / f"{findings.name}.yaml", folder / "stacks" / f"{findings.name}.yaml"
    scenario.write_text(scenario_text(findings), encoding="utf-8")
    stack.write_text(stack_text(findings), encoding="utf-8")
    file = load_stack_file(stack)
    assert list(file.targets) == [target.name for target in findings.usable]
    load_scenario(scenario, environment=file.environment, topology=file.topology)


@given(services=st.dictionaries(NAMES, SERVICES, max_size=5), name=WORDS)
def test_any_compose_file_gives_files_that_validate(
    services: dict[str, Any], name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    given = folder / "given.yaml"
    given.write_text(json.dumps({"services": services}, ensure_ascii=False), encoding="utf-8")
    try:
        findings = read_compose(read_text(given), "given.yaml")
    except ScenarioError as error:
        refused(error)
        return
    assert len(findings.targets) + len(findings.left_out) == len(services)
    with pytest.MonkeyPatch.context() as monkeypatch:
        expect_files_that_validate(replace(findings, name=stack_name(name)), folder, monkeypatch)


@given(document=DOCUMENTS)
def test_any_document_gives_files_that_validate(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("files")
    found = read_document(json.dumps(document), "given.yaml")
    api = FoundTarget("api", "http", "http://127.0.0.1:1", said=found.title, operations=found.operations)
    with pytest.MonkeyPatch.context() as monkeypatch:
        expect_files_that_validate(Findings("odd", "x", (api,)), folder, monkeypatch)


@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_at_its_place(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(COMPOSE)))
    end = data.draw(st.integers(start, min(start + 40, len(COMPOSE))))
    text = (
        COMPOSE[:start]
        + data.draw(st.text(st.sampled_from("{}[]:-#&*!|>'\"%@`\t\n a"), max_size=6))
        + COMPOSE[end:]
    )
    for read in (read_compose, read_document):
        try:
            read(text, "given.yaml")
        except ScenarioError as error:
            refused(error)
