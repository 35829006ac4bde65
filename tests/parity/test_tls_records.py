"""Raw servers over TLS, whose records arrive in pieces: every answer counts as it does without TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.core.outcome import Outcome
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.helpers.tls_servers import Authority
from tests.parity import http_cases, postgres_cases, redis_cases
from tests.parity.cases import Group
from tests.parity.parity_runs import Encryption, Found, run_group

GROUPS = [
    replace(group, cases=tuple(case for case in group.cases if not case.answer.endless))
    for module in (http_cases, postgres_cases, redis_cases)
    for group in module.GROUPS
    if group.name in ("readable", "broken off") or (group.driver, group.name) == ("http", "late")
]


@pytest.fixture(scope="module")
def encryption(tmp_path_factory: pytest.TempPathFactory) -> Encryption:
    authority = Authority(tmp_path_factory.mktemp("certificates"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.sign("server", "server"))
    return Encryption(server, TlsSettings(ca=authority.ca))


@pytest.mark.parametrize("engine", ["wire", pytest.param("client", marks=pytest.mark.long)])
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: f"{group.driver}-{group.name.replace(' ', '_')}")
def test_answers_in_records_that_are_cut_anywhere_end_as_on_a_plain_connection(
    encryption: Encryption, backend: Callable[[], Target], group: Group, engine: str
) -> None:
    result = run_group(group, engine, 0, backend() if group.driver == "postgres" else None, encryption)
    for case, row in zip(group.cases, result.tallies, strict=False):
        found = Found({outcome: int(row[outcome]) for outcome in Outcome if row[outcome]}, frozenset())
        assert set(found.without_waiting().outcomes) == {case.outcome}, f"{case.name}: {found.summary}"
