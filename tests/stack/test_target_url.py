"""Reading REDIS_URL: what is understood, and that no refusal shows a password."""

import traceback
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import TargetError
from bench.stack.target import Target

SECRET = "s3cr3t-hunter2"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://localhost", ("localhost", 6379, None, None, 0)),
        ("redis://localhost:7000/", ("localhost", 7000, None, None, 0)),
        ("redis://:pass@10.0.0.1:7000/3", ("10.0.0.1", 7000, None, "pass", 3)),
        ("redis://user:p%40ss%2F@[::1]:1/15", ("::1", 1, "user", "p@ss/", 15)),
        ("  REDIS://Host  ", ("host", 6379, None, None, 0)),
    ],
)
def test_a_url_is_read(url: str, expected: tuple[object, ...]) -> None:
    target = Target.from_url(url)
    assert (target.host, target.port, target.username, target.password, target.db) == expected


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (f"rediss://:{SECRET}@host", "TLS"),
        (f"unix://:{SECRET}@/run/redis.sock", "socket file"),
        (f"http://:{SECRET}@host", "does not begin with redis://"),
        (f"{SECRET}:pw@host:6379", "does not begin with redis://"),
        (f"{SECRET}", "does not begin with redis://"),
        (f"redis://:{SECRET}/@host", "cannot be read"),
        (f"redis://user:123/{SECRET}@host", "not a number"),
        (f"redis://user:123#{SECRET}@host", "a ? or a #"),
        (f"redis://user:123?{SECRET}@host", "a ? or a #"),
        (f"redis://:{SECRET}@host:99999", "cannot be read"),
        (f"redis://:{SECRET}@host:port", "cannot be read"),
        (f"redis://:{SECRET}@host:0", "port 0"),
        (f"redis://:{SECRET}@[::1", "cannot be read"),
        (f"redis://:{SECRET}@/0", "without a host"),
        (f"redis://:{SECRET}@host/zero", "not a number"),
        (f"redis://:{SECRET}@host/-1", "not a number"),
        (f"redis://{SECRET}@host", "a user without a password"),
        ("", "does not begin with redis://"),
    ],
)
def test_a_wrong_url_is_refused_without_showing_what_may_be_secret(url: str, found: str) -> None:
    with pytest.raises(TargetError) as caught:
        Target.from_url(url)
    text = str(caught.value)
    assert found in text
    assert "redis://[user:password@]host[:port][/database]" in text
    assert SECRET not in text
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@given(user=st.text(min_size=1), password=st.text(min_size=1))
def test_any_user_and_password_survive_percent_encoding(user: str, password: str) -> None:
    target = Target.from_url(f"redis://{quote(user, safe='')}:{quote(password, safe='')}@host:1/2")
    assert (target.username, target.password) == (user, password)


@given(st.text())
def test_any_text_is_a_target_or_a_target_error(text: str) -> None:
    try:
        target = Target.from_url(text)
    except TargetError:
        return
    assert target.host


def test_neither_repr_nor_address_shows_the_password() -> None:
    target = Target.from_url(f"redis://user:{SECRET}@[::1]:7000")
    assert SECRET not in repr(target) + str(target) + target.address
    assert target.address == "[::1]:7000"
