"""The circuit breaker around a component, and the slots before its pool."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bench.reference_api.resilience import Bulkhead, BusyError, ComponentBreaker, UnavailableError


def guard(failures: int = 2, reset_s: float = 60.0) -> ComponentBreaker:
    return ComponentBreaker(
        "redis",
        failures=failures,
        reset_s=reset_s,
        is_failure=lambda error: isinstance(error, OSError),
    )


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def well() -> str:
    return "well"


async def broken() -> None:
    raise ConnectionRefusedError("nobody there")


async def hanging() -> None:
    await asyncio.Event().wait()


async def wrong() -> None:
    raise ValueError("ours")


def in_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run an async test to its end."""

    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 30))

    run.__name__ = test.__name__
    return run


@in_loop
async def test_failures_in_a_row_open_the_circuit_and_calls_are_refused_at_once() -> None:
    one = guard()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="nobody there"):
            await one.call(soon(), broken)
    with pytest.raises(UnavailableError, match="circuit is open") as caught:
        await one.call(soon(), hanging)
    assert caught.value.retry_after_s == 60
    assert one.state == "open"
    assert one.transitions == {"open": 1, "half_open": 0, "closed": 0}


@in_loop
async def test_a_success_between_failures_starts_the_count_anew() -> None:
    one = guard()
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await one.call(soon(), broken)
        assert await one.call(soon(), well) == "well"
    assert one.state == "closed"


@in_loop
async def test_a_call_past_its_end_is_a_failure() -> None:
    one = guard(failures=1)
    with pytest.raises(UnavailableError, match="no answer in time"):
        await one.call(soon(0.01), hanging)
    assert one.state == "open"


@in_loop
async def test_an_error_that_is_no_failure_of_the_component_comes_out_and_counts_as_an_answer() -> None:
    one = guard()
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await one.call(soon(), broken)
        with pytest.raises(ValueError, match="ours"):
            await one.call(soon(), wrong)
    assert one.state == "closed"


@in_loop
async def test_a_trial_that_fails_opens_again_and_one_that_succeeds_closes() -> None:
    one = guard(failures=1, reset_s=0.01)
    with pytest.raises(UnavailableError):
        await one.call(soon(), broken)
    await asyncio.sleep(one.until_trial_s() + 0.001)
    assert one.state == "half_open"
    with pytest.raises(UnavailableError):  # nobody but the monitor may try
        await one.call(soon(), well)
    with pytest.raises(UnavailableError):
        await one.trial(soon(), broken)
    assert one.state in ("open", "half_open")
    assert one.opened.is_set()
    await asyncio.sleep(one.until_trial_s() + 0.001)
    assert await one.trial(soon(), well) == "well"
    assert (one.state, one.opened.is_set()) == ("closed", False)
    assert one.transitions == {"open": 2, "half_open": 2, "closed": 1}
    assert one.open_s > 0


@in_loop
async def test_what_comes_in_late_from_before_the_opening_changes_nothing() -> None:
    one = guard(failures=1)
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def late() -> str:
        return await answer

    task = asyncio.create_task(one.call(soon(), late))
    await asyncio.sleep(0)
    with pytest.raises(UnavailableError):
        await one.call(soon(), broken)
    answer.set_result("late")
    assert await task == "late"
    assert one.state == "open"


@in_loop
async def test_who_waits_for_a_slot_waits_in_order_and_not_past_the_end() -> None:
    bulkhead = Bulkhead("postgres", 1)
    await bulkhead.take(soon())
    with pytest.raises(BusyError, match="all 1 connections"):
        await bulkhead.take(soon(0.01))
    order = []

    async def worker(number: int) -> None:
        await bulkhead.take(soon())
        order.append(number)
        bulkhead.give()

    tasks = [asyncio.create_task(worker(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert (bulkhead.in_use, bulkhead.waiting) == (1, 3)
    bulkhead.give()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2]
    assert (bulkhead.in_use, bulkhead.waiting) == (0, 0)
