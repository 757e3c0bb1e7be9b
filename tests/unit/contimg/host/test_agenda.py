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
