"""The deduplicating queue: each key once, never by two at a time, in virtual time."""

from __future__ import annotations

import asyncio

from virtual_time import virtually

from contimg.host.agenda import Agenda


def test_a_key_that_was_added_often_comes_once():
    async def play():
        agenda = Agenda()
        for key in "abab":
            agenda.add(key)
        assert [await agenda.next(), await agenda.next()] == ["a", "b"]
        assert not agenda.is_idle()
        agenda.done("a")
        agenda.done("b")
        assert agenda.is_idle()

    virtually(play())


def test_what_is_added_while_it_is_worked_on_comes_again_afterwards():
    async def play():
        agenda = Agenda()
        agenda.add("a")
        await agenda.next()
        agenda.add("a")
        second = asyncio.create_task(agenda.next())
        await asyncio.sleep(1)
        assert not second.done(), "never by two at a time"
        agenda.done("a")
        assert await second == "a"

    virtually(play())


def test_of_several_times_the_earliest_counts():
    async def play():
        agenda, loop = Agenda(), asyncio.get_running_loop()
        begin = loop.time()
        for delay in (30, 10, 20):
            agenda.add("a", delay)
        assert agenda.is_idle()
        await agenda.next()
        assert round(loop.time() - begin) == 10
        agenda.done("a")
        again = asyncio.create_task(agenda.next())
        await asyncio.sleep(60)
        assert not again.done(), "the later times are forgotten"
        again.cancel()

    virtually(play())


def test_a_key_that_was_dropped_does_not_come():
    async def play():
        agenda = Agenda()
        agenda.add("a")
        agenda.add("b", 5)
        agenda.drop("a")
        agenda.drop("b")
        waiting = asyncio.create_task(agenda.next())
        await asyncio.sleep(60)
        assert not waiting.done()
        waiting.cancel()

    virtually(play())


def test_what_is_due_now_does_not_wait_for_what_is_due_later():
    async def play():
        agenda, loop = Agenda(), asyncio.get_running_loop()
        begin = loop.time()
        agenda.add("a", 600)
        agenda.add("a")
        agenda.add("a", 300)
        assert await agenda.next() == "a"
        agenda.done("a")
        assert loop.time() - begin < 1
        again = asyncio.create_task(agenda.next())
        await asyncio.sleep(1000)
        assert not again.done(), "once was enough"
        again.cancel()

    virtually(play())


def test_what_falls_due_while_it_is_worked_on_waits_until_that_is_done():
    async def play():
        agenda, loop = Agenda(), asyncio.get_running_loop()
        begin = loop.time()
        agenda.add("a")
        await agenda.next()
        agenda.add("a", 10)
        waiting = asyncio.create_task(agenda.next())
        await asyncio.sleep(30)
        assert not waiting.done()
        agenda.done("a")
        assert await waiting == "a"
        assert round(loop.time() - begin) == 30

    virtually(play())


def test_a_key_that_is_worked_on_does_not_hold_up_those_behind_it():
    async def play():
        agenda = Agenda()
        agenda.add("a")
        await agenda.next()
        agenda.add("a")
        agenda.add("b")
        assert await agenda.next() == "b"
        assert not agenda.is_idle()
        for key in ("b", "a"):
            agenda.done(key)
        assert not agenda.is_idle(), "the first one is due again"
        assert await agenda.next() == "a"

    virtually(play())


def test_a_key_that_was_dropped_while_it_was_worked_on_is_not_idle_until_that_is_done():
    async def play():
        agenda = Agenda()
        agenda.add("a")
        await agenda.next()
        agenda.add("a")
        agenda.drop("a")
        agenda.drop("never there")
        assert not agenda.is_idle()
        agenda.done("a")
        assert agenda.is_idle()

    virtually(play())


def test_many_hands_never_have_the_same_key():
    """Eight at a time, twenty keys that are added all the time: every one is served, none by two."""

    async def play():
        agenda, held, served = Agenda(), set(), {}

        async def hand():
            while True:
                key = await agenda.next()
                assert key not in held
                held.add(key)
                await asyncio.sleep(0.3)
                held.discard(key)
                served[key] = served.get(key, 0) + 1
                agenda.done(key)

        hands = [asyncio.create_task(hand()) for _ in range(8)]
        for step in range(200):
            agenda.add(f"k{step * 7 % 20}", 0.5 * (step % 3))
            await asyncio.sleep(0.05)
        await asyncio.sleep(5)
        assert agenda.is_idle()
        assert len(served) == 20
        for each in hands:
            each.cancel()
        results = await asyncio.gather(*hands, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)

    virtually(play())
