"""Surveys in virtual time: groups are formed as files arrive, in true order, and what fits none is named."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from engine_world import START, STEP, observation
from host_world import Observatory
from virtual_time import virtually

from contimg.errors import Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.fact import UnsealedFact
from contimg.models.survey import Survey


def survey(name="night", **spec):
    rules = {"size": 4, "overlap": 1}
    given = {"pipeline": "dsa110-continuum", "groups": rules} | spec
    return Survey.model_validate({"metadata": {"name": name}, "spec": given})


def members(observatory):
    found = {name: item for (kind, name), item in observatory.resources.items.items() if kind == "ObservationGroup"}
    return {name: item.spec.observations.members for name, item in sorted(found.items())}


def ids(*indices):
    return tuple(observation(i).id for i in indices)


def said(observatory, name="night"):
    return observatory.resources.status(name, "Survey")


def test_eight_recordings_of_which_the_third_seals_last_are_two_groups_and_one_left_by_name():
    """Size 4, overlap 1: no group is formed past the third while it is being written, no member list ever changes."""

    async def play():
        o = Observatory()
        o.resources.put(survey())
        o.world.unsealed = (UnsealedFact(start=START + 2 * STEP, sentence="15 of 16", instrument="dsa110"),)
        seen = []
        async with o.running(workers=2):
            for index in (0, 1, 3, 4, 5, 6, 7):
                o.world.arrive(observation(index, calibrator="3C286"))
                await o.bus.event("sealed", "ingest", observation(index).id, {})
                await asyncio.sleep(20)
                seen.append(members(o))
            assert seen == [{}] * 7, "nothing is formed past what is still being written"
            waiting = {item.observation: item.reason for item in said(o).ungrouped}
            assert "still being written" in waiting[observation(4).id]
            o.world.unsealed = ()
            o.world.arrive(observation(2, calibrator="3C286"))
            await o.bus.event("sealed", "ingest", observation(2).id, {})
            await o.until(lambda: len(members(o)) == 2, 60)
            formed = members(o)
            assert list(formed.values()) == [ids(0, 1, 2, 3), ids(3, 4, 5, 6)]
            await o.until(lambda: all(o.phase(name) == "Published" for name in formed))
            await asyncio.sleep(600)
            assert members(o) == formed, "what was formed stays"
            (left,) = said(o).ungrouped
            assert left.observation == observation(7).id
            assert "2 left" in left.reason or "1 left" in left.reason
            assert "a group needs 3" in left.reason

    virtually(play())


def test_another_host_goes_on_where_the_chain_stands():
    async def play():
        o = Observatory()
        o.resources.put(survey())
        o.world.arrive(*(observation(i) for i in range(4)))
        async with o.running(workers=0):
            await o.until(lambda: len(members(o)) == 1)
        first = members(o)
        o.world.arrive(*(observation(i) for i in range(4, 7)))
        async with o.running(workers=0):
            await o.until(lambda: len(members(o)) == 2)
        assert members(o) | first == members(o)
        assert list(members(o).values())[1] == ids(3, 4, 5, 6)

    virtually(play())


def test_what_is_in_no_group_is_counted_once_by_reason_and_twenty_are_named():
    """Thirty single recordings, days apart, then a group: no look, no other host and no passing window counts twice."""
    lonely = [observation(0).model_copy(update=at(day)) for day in range(30)]
    joined = [observation(0).model_copy(update=at(40, n)) for n in range(4)]

    async def play():
        o = Observatory()
        o.resources.put(survey())
        o.world.arrive(*lonely)
        async with o.running(workers=0):
            await o.until(lambda: said(o) is not None and said(o).ungrouped_count == 30)
            await asyncio.sleep(600)
        before = said(o)
        assert [(item.kind, item.count) for item in before.reasons] == [("TooFew", 30)]
        assert [item.observation for item in before.ungrouped] == [item.id for item in lonely[10:]]
        async with o.running(workers=0):
            await asyncio.sleep(600)
            assert said(o) == before
            o.world.arrive(*joined, observation(0).model_copy(update=at(41)))
            await o.until(lambda: said(o).groups == 1)
            await asyncio.sleep(600)
        assert (said(o).ungrouped_count, said(o).waiting) == (31, 0)
        async with o.running(workers=0):
            await asyncio.sleep(600)
        assert [(item.kind, item.count) for item in said(o).reasons] == [("TooFew", 31)]
        assert len(said(o).ungrouped) == 20

    virtually(play())


def at(day, step=0):
    """Return id and times of a recording that began long ago."""
    start = START - timedelta(days=100 - day) + step * STEP
    return {"id": f"{start:%Y-%m-%dT%H:%M:%S}", "start": start, "end": start + timedelta(seconds=309)}


def test_the_template_and_the_rules_for_file_sets_reach_their_places():
    async def play():
        o = Observatory()
        template = {"stages": {"image": {"robust": 0.5}}, "calibrator": "3C48", "minMembers": 3}
        o.resources.put(survey(template=template, fileSets={"expect": 16, "min": 14, "deadline": "10min"}))
        o.world.arrive(*(observation(i) for i in range(4)))
        async with o.running(workers=0):
            await o.until(lambda: len(members(o)) == 1)
            await asyncio.sleep(100)
        (group,) = o.resources.created
        assert (group.spec.stages, group.spec.calibrator, group.spec.min_members) == (
            {"image": {"robust": 0.5}}, "3C48", 3,
        )  # fmt: skip
        assert [(rules["dsa110"].min, rules["dsa110"].deadline_s) for rules in o.keeper.told] == [(14, 600.0)]

    virtually(play())


def test_two_rules_for_the_files_of_one_instrument_cannot_both_hold():
    async def play():
        o = Observatory()
        o.resources.put(survey("a"), survey("b", fileSets={"min": 12}))
        async with o.running(workers=0):
            await o.until(lambda: said(o, "b") is not None)
            assert said(o, "b").phase == "Stalled"
            assert "spec.fileSets differs from that of survey 'a'" in said(o, "b").message
            assert said(o, "a").phase == "Running"

    virtually(play())


def test_a_survey_that_is_suspended_or_of_another_shard_forms_nothing():
    async def play():
        o = Observatory()
        o.resources.put(survey("s", suspend=True), survey("t", shard="east"), survey("u", pipeline="none"))
        o.world.arrive(*(observation(i) for i in range(8)))
        async with o.running(workers=0):
            await o.until(lambda: all(said(o, name) for name in "stu"))
            await asyncio.sleep(120)
        assert members(o) == {}
        assert [said(o, name).phase for name in "stu"] == ["Suspended", "Stalled", "Stalled"]

    virtually(play())


def test_while_the_keeper_is_silent_nothing_is_formed_and_it_goes_on_afterwards():
    async def play():
        o = Observatory(limits=ProtocolLimits())
        o.resources.put(survey())
        o.keeper.silent = True
        async with o.running(workers=0):
            await o.until(lambda: said(o) is not None)
            assert said(o).reason == "FactsUnavailable"
            o.world.arrive(*(observation(i) for i in range(4)))
            o.keeper.silent = False
            begin = o.now()
            await o.until(lambda: len(members(o)) == 1)
            assert o.now() - begin < timedelta(seconds=65)

    virtually(play())


def test_groups_that_cannot_be_written_now_are_not_laid_to_the_keeper():
    async def play():
        o = Observatory()
        o.resources.put(survey())
        o.world.arrive(*(observation(i) for i in range(7)))
        create = o.resources.create

        async def away(group):
            if o.resources.created:
                raise Unavailable("the API server does not answer")
            await create(group)

        o.resources.create = away
        async with o.running(workers=0):
            await o.until(lambda: said(o) is not None)
            assert (said(o).phase, said(o).reason, said(o).groups) == ("Waiting", "Waiting", 1)
            assert "cannot be written now: the API server does not answer" in said(o).message
            (first,) = members(o)
            await o.until(lambda: o.resources.status(first) is not None, 60)  # the one that was written is looked at
            o.resources.create = create
            await o.until(lambda: said(o).phase == "Running", 65)
        assert list(members(o).values()) == [ids(0, 1, 2, 3), ids(3, 4, 5, 6)]

    virtually(play())


def test_one_that_cannot_be_followed_is_stalled_and_others_go_on():
    async def play():
        o = Observatory()
        o.resources.put(survey("bad", groups={"size": 3, "overlap": 1}), survey("good"))
        o.world.arrive(*(observation(i) for i in range(4)))
        create = o.resources.create

        async def broken(group):
            if group.name.startswith("bad"):
                raise OverflowError("date value out of range")
            await create(group)

        o.resources.create = broken
        async with o.running(workers=0):
            await o.until(lambda: len(members(o)) == 1)
            await o.until(lambda: said(o, "bad"))
            assert (said(o, "bad").phase, said(o, "bad").reason) == ("Stalled", "NotJudged")
            o.resources.create = create
            await o.until(lambda: said(o, "bad").phase == "Running")

    virtually(play())
