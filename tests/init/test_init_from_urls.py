"""`bench init URL...`: who answers is written down, who does not is said, and what is written can be used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.stack.stack_file import load_stack_file
from bench.stack.target import Target
from bench.stack.target_url import url_of
from tests.helpers.http_server import Answerer
from tests.init.conftest import Init
from tests.init.little_api import LittleApi

SCENARIO, STACK = Path("scenarios/notes.yaml"), Path("scenarios/stacks/notes.yaml")
WIDTH = 80


def without_comments(file: Path) -> str:
    return "\n".join(re.sub(r"(^|\s+)#.*", "", line) for line in file.read_text().splitlines())


def test_urls_that_answer_become_files_that_validate(
    init: Init, api: LittleApi, stores: Mapping[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", str(stores["postgres"].password))
    code, out, err = init(*map(url_of, stores.values()), f"web={api.url}")
    assert (code, err) == (0, "")
    assert "bench run scenarios/notes.yaml" in out.splitlines()[-1]
    assert init("scenarios/notes.yaml", command="validate")[:2] == (
        0,
        "scenarios/notes.yaml: ok (3 workloads, 2 phases, 23 s, 10 rules)\n",
    )
    file = load_stack_file(STACK)
    assert {name: entry.kind for name, entry in file.targets.items()} == {
        "redis": "redis",
        "postgres": "postgres",
        "web": "http",
    }
    assert file.targets["web"].behind == ("redis", "postgres")
    assert {name: target.address for name, target in file.described.items()} == {
        **{name: target.address for name, target in stores.items()},
        "web": f"127.0.0.1:{api.port}",
    }


def test_a_proxy_that_reaches_nobody_yet_is_said_to_be_one(init: Init) -> None:
    class Unready(LittleApi):
        def _answer(self, answerer: Answerer) -> None:
            for _ in answerer.requests():
                answerer.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    api = Unready()
    Path("compose.yaml").write_text(
        f'services:\n  edge: {{image: nginx, ports: ["127.0.0.1:{api.port}:80"]}}\n'
    )
    try:
        assert init("--compose", "compose.yaml")[0] == 0
    finally:
        api.close()
    text = " ".join(STACK.read_text().replace("#", "").split())
    assert "When it was asked, it was not ready (" in text
    assert "502 Bad Gateway" in text


def test_what_is_said_fits_80_columns(init: Init, api: LittleApi) -> None:
    code, out, _ = init(f"a_name_that_is_long={api.url}/{'x' * 90}", api.url, "redis://127.0.0.1:1")
    assert code == 0
    assert max(map(len, out.splitlines())) <= WIDTH


def test_only_requests_that_are_safe_and_answer_are_part_of_the_load(init: Init, api: LittleApi) -> None:
    assert init(api.url)[0] == 0
    requests = re.findall(
        r"^ *(# )?(\w+): \{request: \{(?:method: (\w+), )?path: \"(.*?)\"", SCENARIO.read_text(), re.MULTILINE
    )
    assert {path for comment, _, _, path in requests if not comment} == {"/about", "/tags"}
    assert sorted((method or "GET", path) for comment, _, method, path in requests if comment) == [
        ("DELETE", "/notes/{noteid}"),
        ("GET", "/notes"),
        ("GET", "/notes/{noteid}"),
        ("GET", "/private"),
        ("GET", "/search?q={q}"),
        ("POST", "/login"),
        ("POST", "/notes"),
    ]
    assert "asks for a login (401)" in SCENARIO.read_text()
    assert {word for word in api.asked if not word.startswith("GET /")} == set()
    assert not {"GET /notes", "GET /search"} & set(api.asked)


def test_an_api_without_a_document_is_asked_for_a_page(init: Init) -> None:
    for statuses, expected in (({"/": 200}, '"/"}'), ({"/health": 204}, '"/health"}'), ({}, "status: 404")):
        api = LittleApi(b"", statuses)
        try:
            assert init(api.url, "--force")[0] == 0
        finally:
            api.close()
        (request,) = re.findall(r"page: \{request: .*", without_comments(SCENARIO))
        assert expected in request
        assert init("scenarios/notes.yaml", command="validate")[0] == 0


def test_a_document_that_cannot_be_read_is_said_in_the_stack_file(init: Init) -> None:
    api = LittleApi(b"{'a': [", {"/": 200})
    try:
        assert init(api.url)[0] == 0
    finally:
        api.close()
    assert "Its /openapi.json cannot be read" in STACK.read_text()
    assert f"http://127.0.0.1:{api.port}/openapi.json:2:1: " in STACK.read_text().replace("\n  # ", " ")


def test_what_does_not_answer_is_a_comment_and_is_said(init: Init, api: LittleApi) -> None:
    code, out, _ = init(api.url, "redis://127.0.0.1:1")
    assert code == 0
    assert "redis did not answer: expected a Redis server, found connection refused" in " ".join(out.split())
    assert re.search(r"^  # redis: \{kind: redis, url: ", STACK.read_text(), re.MULTILINE)
    assert list(load_stack_file(STACK).targets) == ["api"]
    assert "redis_load" not in SCENARIO.read_text()


def test_where_nothing_answers_nothing_is_written(init: Init) -> None:
    code, _, err = init("redis://127.0.0.1:1")
    assert code == 4
    assert "target redis at 127.0.0.1:1: expected a Redis server" in err
    assert not Path("scenarios").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "expected URLs such as redis://127.0.0.1:6379"),
        (("nonsense",), 4, "something that does not begin with a scheme known here"),
        (("proxy://127.0.0.1/ping",), 2, "found one of proxy"),
        (("a=redis://127.0.0.1:1", "a=redis://127.0.0.1:2"), 2, 'expected every name once, found "a" again'),
    ],
)
def test_what_cannot_be_begun_is_refused_in_a_sentence(
    init: Init, words: tuple[str, ...], code: int, said: str
) -> None:
    done, _, err = init(*words)
    assert done == code
    assert said in err
    assert not Path("scenarios").exists()


def test_files_of_a_user_are_overwritten_only_when_asked(init: Init, api: LittleApi) -> None:
    SCENARIO.parent.mkdir()
    SCENARIO.write_text("mine\n")
    code, _, err = init(api.url)
    assert code == 2
    assert "found scenarios/notes.yaml; choose another --name or --out, or overwrite with --force" in err
    assert SCENARIO.read_text() == "mine\n"
    assert not STACK.exists()
    assert init(api.url, "--name", "Other one!", "--out", "load")[0] == 0
    assert Path("load/stacks/other_one.yaml").exists()
    assert init(api.url, "--force")[0] == 0
    assert SCENARIO.read_text() != "mine\n"


def test_a_name_of_a_stack_without_a_file_is_not_taken(init: Init, api: LittleApi) -> None:
    assert init(api.url, "--name", "compose")[0] == 0
    assert init("scenarios/compose_2.yaml", command="validate")[0] == 0


def test_a_directory_that_cannot_be_written_is_said(init: Init, api: LittleApi) -> None:
    Path("file").write_text("")
    code, _, err = init(api.url, "--out", "file/below")
    assert code == 2
    assert "cannot be written: Not a directory" in err


def test_no_password_is_written_or_said(
    init: Init, stores: Mapping[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the Postgres of these has one; the Redis would refuse it."""
    store = stores["postgres"]
    assert store.password
    code, out, err = init(f"db={url_of(store)}")
    assert code == 0
    written = "".join(file.read_text() for file in Path().rglob("*.*") if file.is_file())
    assert store.password not in out + err + written
    assert "write DB_PASSWORD=... into scenarios/stacks/.env" in " ".join(out.split())
    code, _, err = init("scenarios/notes.yaml", command="validate")
    assert code == 3
    assert "export DB_PASSWORD, or write it into scenarios/stacks/.env" in err
    Path("scenarios/stacks/.env").write_text(f"DB_PASSWORD={store.password}\n")
    assert init("scenarios/notes.yaml", command="validate")[0] == 0
    assert load_stack_file(STACK).described["db"].password == store.password


def test_without_arguments_the_environment_is_read(
    init: Init, stores: Mapping[str, Target], api: LittleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url_of(stores["postgres"]))
    monkeypatch.setenv("API_URL", api.url)
    code, out, _ = init()
    assert code == 0
    assert "DATABASE_URL and API_URL" in out
    text = STACK.read_text()
    assert 'url: "${DATABASE_URL}"' in text
    assert f'url: "${{API_URL:-{api.url}}}"' in text
    assert init("scenarios/notes.yaml", command="validate")[0] == 0


def test_a_url_as_sqlalchemy_has_it_is_written_as_a_postgres_has_it(
    init: Init, stores: Mapping[str, Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(stores["postgres"]).replace("postgresql://", "postgresql+asyncpg://")
    for words in ((), (url, "--force")):
        monkeypatch.setenv("DATABASE_URL", url)
        assert init(*words)[0] == 0
        monkeypatch.setenv("POSTGRES_PASSWORD", str(stores["postgres"].password))
        assert load_stack_file(STACK).described["postgres"].address == stores["postgres"].address


def test_another_machine_is_loaded_only_when_the_user_says_so(
    init: Init, api: LittleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.init.findings.is_loopback_literal", lambda _: False)
    code, out, _ = init(api.url)
    assert code == 0
    assert "load goes to 127.0.0.1 only when" in " ".join(out.split())
    assert load_stack_file(STACK).allow.hosts == ()
    assert 'hosts: ["127.0.0.1"]' in STACK.read_text()


def test_what_is_commented_out_is_right_when_the_comment_is_removed(
    init: Init, api: LittleApi, stores: Mapping[str, Target]
) -> None:
    assert init(url_of(stores["redis"]), api.url)[0] == 0
    marked = re.compile(r"^( *)# (?=faults:|  - \{latency|- recovery|\w+: \{request)", re.MULTILINE)
    text = marked.sub(r"\1", SCENARIO.read_text())
    values = "    parameters: {noteid: {from: 1, to: 9}, q: {from: 1, to: 9}}\n    operations:"
    head, separator, tail = text.rpartition("    operations:")
    SCENARIO.write_text(head + values + tail)
    assert separator
    STACK.write_text(STACK.read_text().replace("faults: []", "faults: [redis]"))
    code, out, err = init("scenarios/notes.yaml", command="validate")
    assert (code, err) == (0, "")
    assert "8 rules" in out
    assert SCENARIO.read_text().count("{request:") == 9
