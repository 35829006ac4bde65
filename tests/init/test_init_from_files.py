"""`bench init` from compose files and OpenAPI documents: what is written, and what is refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.init.compose_file import read_compose
from bench.init.findings import Findings, FoundTarget
from bench.init.openapi import read_document
from bench.init.written_files import scenario_text, stack_text
from bench.stack.stack_file import load_stack_file
from tests.init.conftest import Init
from tests.init.little_api import DOCUMENT, LittleApi

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
COMPOSE = (HERE / "compose.yaml").read_text()
OF_AN_API = FoundTarget(
    "api",
    "http",
    "http://127.0.0.1:8000",
    said="answers",
    operations=read_document(json.dumps(DOCUMENT), "openapi.json").operations,
)
FINDINGS = {
    "compose": replace(read_compose(COMPOSE, "compose.yaml"), name="shop"),
    "openapi": Findings(
        "notes",
        "the URLs given",
        (
            OF_AN_API,
            FoundTarget("cache", "redis", "redis://10.0.0.1", "10.0.0.1:6379", problem="no answer"),
        ),
    ),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_the_files_are_as_they_were_approved(name: str) -> None:
    for kind, text in (("stack", stack_text), ("scenario", scenario_text)):
        file, found = GOLDEN / f"{name}_{kind}.yaml", text(FINDINGS[name])
        if os.environ.get("HOLDFAST_UPDATE_GOLDEN"):
            file.write_text(found)
        assert file.read_text() == found


def test_a_compose_file_is_found_and_becomes_files_that_validate(
    init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("compose.yaml").write_text(COMPOSE.replace("8000-8001:8000", "8000:8000"))
    code, out, _ = init()
    assert code == 0
    assert out.startswith("Found in compose.yaml:")
    assert max(map(len, out.splitlines())) <= 80
    assert "not-shown" not in out + "".join(file.read_text() for file in Path("scenarios").rglob("*.yaml"))
    assert init("scenarios/notes.yaml", command="validate")[0] == 3
    monkeypatch.setenv("CACHE_PASSWORD", "c")
    monkeypatch.setenv("ARCHIVE_PASSWORD", "a")
    code, out, err = init("scenarios/notes.yaml", command="validate")
    assert (code, err) == (0, "")
    assert "ok (6 workloads" in out
    file = load_stack_file(Path("scenarios/stacks/notes.yaml"))
    places = {
        name: entry.compose and (entry.compose.service, entry.compose.port)
        for name, entry in file.targets.items()
    }
    assert places == {
        "cache": None,
        "sessions": ("sessions", None),
        "db": ("db", None),
        "archive": None,
        "api": ("api", 8000),
        "edge": ("edge", 80),
        "search": ("search", None),
        "scaled": ("scaled", None),
    }
    assert file.described["cache"].password == "c"
    assert (file.described["archive"].port, file.described["archive"].database) == (5433, "old")
    assert {name: entry.behind for name, entry in file.targets.items() if entry.behind} == {
        "api": ("cache", "sessions", "db"),
        "edge": ("api",),
    }


def test_the_environment_comes_before_the_compose_file(
    init: Init, api: LittleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("docker-compose.yml").write_text(COMPOSE)
    monkeypatch.setenv("API_URL", api.url)
    code, out, _ = init()
    assert code == 0
    assert "docker-compose.yml is here too" in out
    assert "Found in API_URL:" in out


def test_a_project_that_runs_is_asked_for_its_requests(init: Init, api: LittleApi) -> None:
    Path("own.yaml").write_text(f"services: {{web: {{build: ., ports: ['{api.port}:8000']}}}}")
    assert init("--compose", "own.yaml")[0] == 0
    assert 'about: {request: {path: "/about"}}' in Path("scenarios/notes.yaml").read_text()


@pytest.mark.parametrize("as_yaml", [False, True])
def test_a_document_gives_the_requests_of_an_api(init: Init, as_yaml: bool) -> None:
    api = LittleApi(b"", {"/v1/about": 200, "/v1/tags": 200})
    document = DOCUMENT | {"servers": [{"url": f"{api.url}/v1"}]}
    text = json.dumps(document, indent=1)
    # JSON in a flow style that is not JSON any more, as YAML may be written.
    Path("api.yaml").write_text("# of ours\n" + text.replace('"openapi"', "openapi") if as_yaml else text)
    try:
        code, out, _ = init("--openapi", "api.yaml")
        assert code == 0
        assert "2 requests to load" in out
        assert f'url: "{api.url}/v1"' in Path("scenarios/stacks/notes.yaml").read_text()
        assert init("--openapi", "api.yaml", f"shop={api.url}", "--force")[0] == 0
        assert 'about: {request: {path: "/v1/about"}}' in Path("scenarios/notes.yaml").read_text()
    finally:
        api.close()
    assert init("scenarios/notes.yaml", command="validate")[0] == 0


def test_load_goes_to_a_server_of_a_document_only_when_the_user_names_it(init: Init) -> None:
    Path("api.json").write_text(json.dumps(DOCUMENT | {"servers": [{"url": "https://api.example.com"}]}))
    code, _, err = init("--openapi", "api.json")
    assert code == 2
    assert "bench init --openapi FILE http://127.0.0.1:8000" in err


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("--compose", "", "compose.yaml:1:1: services: expected services"),
        ("--compose", "services: [a]\n", "compose.yaml:1:1: services: expected services"),
        (
            "--compose",
            "services:\n  a: b\n  c: [d]\n",
            "compose.yaml:2:3: services.a: expected key: value lines",
        ),
        (
            "--compose",
            "services:\n  a: b\n  c: [d]\n",
            "compose.yaml:3:3: services.c: expected key: value lines",
        ),
        ("--compose", "services:\n  a: {x: !reset null}\n", "compose.yaml:2:"),
        ("--compose", "services:\n\ta: b\n", "compose.yaml:2:1: file: expected spaces, found a tab"),
        ("--openapi", "", "compose.yaml:1:1: paths: expected an OpenAPI document, with paths, found none"),
        ("--openapi", "[]", "compose.yaml:1:1: paths: expected an OpenAPI document"),
        ("--openapi", '{"paths": 1}', "compose.yaml:1:1: paths: expected an OpenAPI document"),
        (
            "--openapi",
            "openapi: 3.0.0\npaths: [a]\n",
            "compose.yaml:2:1: paths: expected an OpenAPI document",
        ),
        ("--openapi", "{" * 5000, "compose.yaml:1:"),
        ("--openapi", '{"a": ' * 5000, "compose.yaml:1:"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(init: Init, option: str, text: str, said: str) -> None:
    Path("compose.yaml").write_text(text)
    code, _, err = init(option, "compose.yaml")
    assert code == 3
    assert said in err
    assert not Path("scenarios").exists()


def test_a_file_that_is_not_there_and_a_wrong_mixture_are_usage(init: Init, api: LittleApi) -> None:
    assert init("--compose", "missing.yaml")[0] == 2
    Path("compose.yaml").write_text(COMPOSE)
    code, _, err = init("--compose", "compose.yaml", api.url)
    assert code == 2
    assert "found both" in err


def test_a_compose_file_without_anything_to_measure_says_why(init: Init) -> None:
    Path("compose.yaml").write_text("services: {db: {image: postgres}, jobs: {image: rabbit, ports: [5672]}}")
    code, _, err = init()
    assert code == 4
    assert "compose.yaml: db: postgres, but its port is not published" in err
    assert "compose.yaml: jobs: nothing that can be measured" in err
