"""The distribution's Redis, nginx and PostgreSQL over TLS: who is let in, and why not where not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.errors import TargetError
from bench.stack.probes.http import probe_http
from bench.stack.probes.postgres import probe_postgres
from bench.stack.probes.redis import probe_redis
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.helpers.tls_servers import Certificates, Park, with_tls

PROBES: dict[str, Callable[[Target], object]] = {
    "redis": probe_redis,
    "http": probe_http,
    "postgres": probe_postgres,
}


def refusal(target: Target) -> str:
    with pytest.raises(TargetError) as caught:
        PROBES[target.kind](target)
    text = str(caught.value)
    assert "password" not in text
    return text


@pytest.mark.parametrize("kind", PROBES)
def test_a_server_whose_authority_is_trusted_is_let_answer(park: Park, kind: str) -> None:
    PROBES[kind](park.target(kind))


@pytest.mark.parametrize("kind", PROBES)
def test_an_authority_that_did_not_sign_the_certificate_is_the_reason(
    park: Park, certificates: Certificates, kind: str
) -> None:
    text = refusal(with_tls(park.target(kind), ca=certificates.other.ca))
    assert "trusted here" in text
    assert "verify failed" in text or "issuer" in text or "self-signed" in text


@pytest.mark.parametrize("kind", PROBES)
def test_an_expired_certificate_is_the_reason(park: Park, kind: str) -> None:
    assert "expire" in refusal(park.target(kind, "expired"))


@pytest.mark.parametrize("kind", PROBES)
def test_another_name_than_the_certificates_is_the_reason_and_can_be_declared(park: Park, kind: str) -> None:
    target = park.target(kind, "elsewhere")
    text = refusal(target)
    assert "mismatch" in text or "does not match host name" in text
    PROBES[kind](with_tls(target, server_name="elsewhere.example"))


@pytest.mark.parametrize("kind", PROBES)
@pytest.mark.parametrize("shown", ["expired", "elsewhere"])
def test_nothing_is_checked_where_verification_is_off(park: Park, kind: str, shown: str) -> None:
    PROBES[kind](with_tls(park.target(kind, shown), verify=False, ca=None))


@pytest.mark.parametrize("kind", PROBES)
def test_a_host_that_is_not_found_is_the_reason_whatever_the_servers_name_is(kind: str) -> None:
    tls = TlsSettings(server_name="cache.example")
    text = refusal(Target(kind, kind, "nowhere.invalid", 1, username="u", tls=tls))
    assert "nowhere.invalid" in text


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_a_server_that_wants_a_client_certificate_says_so_and_takes_one(
    park: Park, certificates: Certificates, kind: str
) -> None:
    target = park.target(kind, mutual=True)
    assert "certificate" in refusal(target)
    ours, key = certificates.ours
    PROBES[kind](with_tls(target, certificate=ours, key=key))


@pytest.mark.parametrize(
    ("certificate", "key", "found"),
    [
        ("missing.pem", None, "no such file"),
        ("right.pem", "missing.key", "no such file"),
        ("right.pem", "ours.key", "a key of another certificate"),
        ("right.csr", "right.key", "nothing of the kind"),
        (None, "right.key", "only its key"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    certificates: Certificates, certificate: str | None, key: str | None, found: str
) -> None:
    folder = certificates.authority.folder
    settings = TlsSettings(
        certificate=folder / certificate if certificate else None, key=folder / key if key else None
    )
    with pytest.raises(TargetError, match=found):
        settings.context("cache", "127.0.0.1:1")


def test_an_authority_that_is_missing_or_none_is_named(certificates: Certificates) -> None:
    folder = certificates.authority.folder
    for name, found in (("missing.pem", "no such file"), ("right.key", "nothing of the kind")):
        with pytest.raises(TargetError, match=found) as caught:
            TlsSettings(ca=folder / name).context("cache", "127.0.0.1:1")
        assert name in str(caught.value)
