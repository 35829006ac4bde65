"""What the collector of garbage does to the API can be seen in its metrics."""

from collections.abc import Callable

from tests.helpers.waiting import eventually
from tests.reference_api.api_process import Api


def test_pauses_of_the_collector_are_counted(start_api: Callable[..., Api]) -> None:
    api = start_api(API_HEAP="200000", API_COLLECT_S="0.05")
    eventually(lambda: api.metric("gc_pauses_total", generation="2") > 1, "full collections", 60)
    assert api.metric("gc_pause_seconds_total", generation="2") > 0.0
