"""Where the groups stand, as metrics; in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engine_world import START, group_of, observation
from host_world import Observatory
from metered import labelled, value
from virtual_time import VirtualLoop

from contimg.host.counting import count_publication
from contimg.models.group import GroupStatus
from contimg.models.reason import Phase
from contimg.models.survey import SurveyStatus
from contimg.telemetry import BUS_TASKS

GROUP = group_of(2)


def played(scene) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())


def test_groups_are_counted_by_condition_and_reason():
    async def scene():
        o = Observatory(GROUP)
        o.world.arrive(*(observation(number, calibrator="3C286") for number in range(3)))
        async with o.running():
            await o.until(lambda: o.phase(GROUP.name) == Phase.PUBLISHED)
            await o.until(lambda: ("Succeeded", "True", "Published") in labelled("contimg_groups"))
            assert labelled("contimg_groups")["Succeeded", "True", "Published"] == 1
            assert labelled("contimg_groups_oldest_timestamp_seconds") == {}
            assert set(o.bus.measured) == set(o.bus.stages) != set()
            o.resources.delete(GROUP.name)
            await o.until(lambda: labelled("contimg_groups") == {})

    played(scene)


def test_figures_of_a_queue_that_is_away_are_not_shown():
    async def scene():
        o = Observatory()
        async with o.running(workers=0):
            await o.until(lambda: o.bus.measured)
            BUS_TASKS.set({("image", "waiting"): 3.0})
            o.bus.lose()
            await o.until(lambda: labelled("contimg_bus_tasks") == {}, 600)

    played(scene)


def test_an_unfinished_group_has_an_age():
    async def scene():
        o = Observatory(GROUP)
        async with o.running(workers=0):
            begin = o.now()
            await o.until(lambda: labelled("contimg_groups_oldest_timestamp_seconds"))
            seen = labelled("contimg_groups_oldest_timestamp_seconds")
            assert list(seen) == [("Running",)] or list(seen) == [("Waiting",)]
            assert abs(next(iter(seen.values())) - begin.timestamp()) < 60

    played(scene)


def test_a_publication_is_counted_once_and_in_seconds():
    begin = value("contimg_group_seconds_count", pipeline=GROUP.spec.pipeline) or 0.0
    spent = value("contimg_group_seconds_sum", pipeline=GROUP.spec.pipeline) or 0.0
    done = GroupStatus(
        observed_generation=1, phase=Phase.PUBLISHED, started=START, finished=START + timedelta(minutes=7)
    )
    count_publication(GROUP, None, done)
    count_publication(GROUP, done, done)
    count_publication(GROUP, None, SurveyStatus(observed_generation=1, phase=Phase.RUNNING))
    assert value("contimg_group_seconds_count", pipeline=GROUP.spec.pipeline) == begin + 1
    assert value("contimg_group_seconds_sum", pipeline=GROUP.spec.pipeline) == spent + 420
