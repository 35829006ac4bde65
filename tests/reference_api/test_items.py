"""Items: cached reads, lists and writes, all with Redis and Postgres up."""

from collections.abc import Iterator

import pytest
import redis

from bench.reference_api.cache import FRESH, STALE
from tests.reference_api.api_process import Api, Servers


@pytest.fixture
def store(servers: Servers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.environment["REDIS_URL"]) as client:
        yield client


def test_the_first_read_is_a_miss_and_the_second_a_hit_with_the_same_bytes(api: Api) -> None:
    first, second = api.get("/items/11"), api.get("/items/11")
    assert (first.status, first.cache) == (200, "miss")
    assert (second.status, second.cache) == (200, "hit")
    assert first.body == second.body
    assert first.json["id"] == 11


def test_leading_zeros_name_the_same_item(api: Api) -> None:
    assert api.get("/items/00000012").json["id"] == 12
    assert api.get("/items/12").cache == "hit"


def test_copies_expire_the_stale_one_later(api: Api, store: redis.Redis) -> None:
    api.get("/items/13")
    fresh, stale = store.pttl(f"{FRESH}13"), store.pttl(f"{STALE}13")
    assert 0 < fresh <= 30_000 < stale <= 3_600_000


def test_an_unknown_item_is_404_and_is_not_cached(api: Api) -> None:
    answer = api.get("/items/999999999")
    assert answer.status == 404
    assert answer.json == {"detail": "there is no item 999999999"}
    assert api.get("/items/0").status == 404


@pytest.mark.parametrize("name", ["abc", "-1", "1.5", "9223372036854775808", "9" * 4000])
def test_an_id_that_is_none_is_422(api: Api, name: str) -> None:
    answer = api.get(f"/items/{name}")
    assert answer.status == 422
    assert "item_id" in answer.json["detail"]


def test_a_list_goes_on_where_the_page_before_ended(api: Api) -> None:
    after, seen = 0, []
    while after is not None:
        page = api.get(f"/items?after={after}&limit=70").json
        seen += [item["id"] for item in page["items"]]
        after = page["next_after"]
    assert seen == sorted(seen)
    assert seen[:200] == list(range(1, 201))


def test_a_list_of_none_or_of_too_many_is_422(api: Api) -> None:
    for limit in ("0", "201", "x"):
        assert api.get(f"/items?limit={limit}").status == 422


def test_a_write_is_seen_by_the_next_read(api: Api) -> None:
    for price in (1, 2):
        api.get("/items/14")
        written = api.ask("PUT", "/items/14", {"name": "Lamp", "price_cents": price})
        read = api.get("/items/14")
        assert (written.status, read.status, read.cache) == (200, 200, "miss")
        assert read.json == written.json
        assert read.json["price_cents"] == price


def test_an_older_copy_never_replaces_a_newer_one(api: Api, store: redis.Redis) -> None:
    api.ask("PUT", "/items/15", {"name": "Newest", "price_cents": 5})
    newest = store.get(f"{STALE}15")
    assert isinstance(newest, bytes)
    future = newest.replace(b'"revision":', b'"revision":9')
    store.set(f"{STALE}15", future)
    assert api.get("/items/15").cache == "miss"
    assert store.get(f"{STALE}15") == future
    assert store.get(f"{FRESH}15") is None
    store.delete(f"{STALE}15")


def test_a_name_cannot_be_taken_for_a_revision(api: Api) -> None:
    name = '","revision":99999999999999999999,"'
    api.ask("PUT", "/items/16", {"name": name, "price_cents": 5})
    assert api.get("/items/16").json["name"] == name
    api.ask("PUT", "/items/16", {"name": "plain", "price_cents": 6})
    assert api.get("/items/16").json["name"] == "plain"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "", "price_cents": 1},
        {"name": "x", "price_cents": -1},
        {"name": "x", "price_cents": 2**31},
        {"name": "x\0", "price_cents": 1},
        {"name": "\ud800", "price_cents": 1},
        {"name": "x" * 201, "price_cents": 1},
        {"name": "x", "price_cents": 1, "stock": -1},
        {"name": "x", "price_cents": 1, "colour": "red"},
        [1],
    ],
    ids=str,
)
def test_a_write_that_makes_no_sense_is_422(api: Api, body: object) -> None:
    answer = api.ask("PUT", "/items/17", body)
    assert answer.status == 422
    assert answer.json["detail"]
    assert api.get("/items/17").json["name"] == "Item 17"


def test_a_write_to_an_unknown_item_is_404(api: Api) -> None:
    assert api.ask("PUT", "/items/999999999", {"name": "x", "price_cents": 1}).status == 404
