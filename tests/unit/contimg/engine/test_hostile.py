"""Wishes and records at the edges of what the models allow: the engine answers with a status, never an exception."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from engine_world import START, World, group_of, observation, transit
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.engine.groups import form_groups
from contimg.engine.why import why
from contimg.limits import RECORDING_S
from contimg.models.fact import IngestFact, UnsealedFact
from contimg.models.group import GroupSpec, Selection
from contimg.models.resource import Metadata
from contimg.models.survey import Survey, SurveySpec

EARLIEST, LATEST = datetime(1951, 1, 1, tzinfo=UTC), datetime(2149, 12, 31, 23, 59, 59, tzinfo=UTC)
WEEK = timedelta(seconds=RECORDING_S)
edges = st.sampled_from([EARLIEST, EARLIEST + WEEK, START, LATEST - WEEK])
lengths = st.sampled_from([timedelta(0), timedelta(microseconds=1), WEEK])


def a_record(start, length, **changes):
    return observation(0).model_copy(update={"start": start, "end": min(start + length, LATEST), **changes})


@settings(max_examples=60, deadline=None)
@given(edges, lengths, edges, st.sampled_from([-90.0, 0.0, 90.0]), st.booleans(), st.booleans())
def test_recordings_at_the_edges_of_time_and_sky_are_judged(start, length, crossing, dec, own, by_end):
    wish = Selection(start=start, end=LATEST) if by_end and start < LATEST else Selection(start=start, count=2)
    world = World(group_of(1, observations=wish))
    crossings = (transit("3C48", crossing),)
    seen = {"calibrators": crossings} if own else {"next_transits": crossings}
    world.arrive(a_record(start, length, dec_deg=dec, **seen), a_record(start + length, length, dec_deg=-dec, id="b"))
    world.now = LATEST - timedelta(hours=1)
    for _ in range(10):
        decision = world.decide()
        assert why(world.group, decision)
        for task in decision.tasks:
            world.commit(task)


@settings(max_examples=40, deadline=None)
@given(st.lists(edges, max_size=4), lengths, edges, edges)
def test_groups_are_formed_or_not_at_the_edges_of_time(starts, length, writing, now):
    survey = Survey(metadata=Metadata(name="s"), spec=SurveySpec(pipeline="p", groups={"minSize": 1, "maxGap": "1e9s"}))
    records = [a_record(start, length, id=f"r{n}") for n, start in enumerate(starts)]
    ingest = IngestFact(scanned=now, unsealed=(UnsealedFact(start=writing, sentence="open"),))
    found = form_groups(records, survey, (), ingest, now)
    grouped = {name for group in found.groups for name in group.spec.observations.members}
    assert grouped | {item.observation for item in found.ungrouped} == {item.id for item in records}


@pytest.mark.parametrize("gap", ["1e300s", "1e15s"])
def test_gaps_beyond_every_calendar_are_refused_by_the_model(gap):
    with pytest.raises(ValueError, match="less than or equal"):
        SurveySpec(pipeline="p", groups={"maxGap": gap})


def test_a_wish_of_five_thousand_names_that_never_come_is_a_sentence():
    names = tuple(f"n{number}" for number in range(5000))
    world = World(group_of(1, observations=Selection(members=names)))
    status = world.decide().status
    assert "waiting for 5000 of 5000 observations: n0: no files seen" in status.message
    assert len(status.model_dump_json()) < 64 * 1024


def test_a_spec_that_no_pipeline_understands_is_stalled():
    world = World(group_of(1))
    world.group = world.group.model_copy(
        update={
            "spec": GroupSpec(pipeline="dsa110-continuum", observations=Selection(members=("a",)), stages={"x": {}})
        }
    )
    assert world.decide().status.phase == "Stalled"
