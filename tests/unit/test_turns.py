"""Whose body is received next."""

import asyncio

import pytest

from ingest.http.turns import Turns

MEGABYTE = 1 << 20


async def finished(turns: Turns, to_come: int, done: list[int]) -> None:
    async with turns.turn(to_come):
        await asyncio.sleep(0)
        done.append(to_come)


async def test_those_of_which_the_least_is_still_to_come_go_first() -> None:
    turns, done = Turns(), list[int]()
    sizes = [80 * MEGABYTE, 90 * MEGABYTE, 70 * MEGABYTE, 3 * MEGABYTE, 20 * MEGABYTE]
    await asyncio.gather(*(finished(turns, size, done) for size in sizes))
    assert done == [80 * MEGABYTE, 90 * MEGABYTE, 3 * MEGABYTE, 20 * MEGABYTE, 70 * MEGABYTE]


async def test_a_large_one_does_not_wait_for_ever_more_small_ones() -> None:
    turns, done = Turns(), list[int]()

    async def small_ones() -> None:
        while 80 * MEGABYTE not in done:
            await finished(turns, MEGABYTE, done)

    crowd = [asyncio.ensure_future(small_ones()) for _ in range(8)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await finished(turns, 80 * MEGABYTE, done)
    await asyncio.gather(*crowd)


async def test_those_that_are_alike_take_turns_as_they_come() -> None:
    turns, order = Turns(), list[str]()

    async def received(name: str) -> None:
        async with turns.turn(1):
            await asyncio.sleep(0)
            order.append(name)

    await asyncio.gather(*map(received, "abcd"))
    assert order == ["a", "b", "c", "d"]


async def test_who_goes_away_while_it_waits_holds_nobody_up() -> None:
    turns, done = Turns(), list[int]()
    waiting = [asyncio.ensure_future(finished(turns, 0, done)) for _ in range(6)]
    await asyncio.sleep(0)
    for one in waiting[2:4]:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert len(done) == 4
    await finished(turns, 0, done)


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_who_goes_away_just_as_its_turn_comes_passes_it_on(*, cancelled_first: bool) -> None:
    turns, done = Turns(), list[int]()
    first, second = turns.turn(0), turns.turn(0)
    await first.__aenter__()
    await second.__aenter__()
    leaving = asyncio.ensure_future(finished(turns, 0, done))
    staying = asyncio.ensure_future(finished(turns, 0, done))
    await asyncio.sleep(0)
    if cancelled_first:
        leaving.cancel()
    await first.__aexit__(None, None, None)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    await staying
    await second.__aexit__(None, None, None)
    assert done == [0]
    async with turns.turn(0), turns.turn(0):
        pass
