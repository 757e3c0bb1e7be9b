"""Groups from arrivals: the rule on small runs, and on every real stamp of 14 dates."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from engine_world import START, STEP, observation, oid
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.engine.groups import _runs, form_groups
from contimg.models.group import Policy, PublishSpec
from contimg.models.observation import ObservationState, Role
from contimg.models.survey import GroupRule

DATA = Path(__file__).parents[3] / "data" / "subband_stamps.csv"
"""File-name stamps of DSA-110 recordings, as steps in seconds; facts of ../reference/dsa110.md, section 1.6."""
FIRST = datetime(2026, 1, 25, 0, 0, 10, tzinfo=UTC)
LONG_AFTER = datetime(2027, 1, 1, tzinfo=UTC)
RULE = GroupRule(survey="night")


def members(formed):
    return [group.spec.observations.members for group in formed.groups]


def ids(*indices):
    return tuple(oid(i) for i in indices)


def run_of(count, first=0):
    return [observation(first + i) for i in range(count)]


# real stamps


def complete_sets() -> list[datetime]:
    """Cluster the stamps at 120 s from the first file; keep the sets of exactly 16 subbands."""
    clusters: list[list] = []
    time = FIRST
    with DATA.open() as handle:
        for row in csv.DictReader(handle):
            time += timedelta(seconds=int(row["step_s"]))
            if clusters and time - clusters[-1][0] <= timedelta(seconds=120):
                clusters[-1][1] += int(row["n_subbands"])
            else:
                clusters.append([time, int(row["n_subbands"])])
    assert len(clusters) == 2412
    return [start for start, count in clusters if count == 16]


@pytest.fixture(scope="module")
def real():
    return [observation(0, start=time) for time in complete_sets()]


@pytest.mark.parametrize(
    ("gap", "runs", "mosaics", "used"),
    [(360, 427, 210, 2074), (420, 238, 210, 2074), (620, 40, 274, 2252), (760, 32, 279, 2280), (900, 25, 281, 2290)],
)
def test_real_stamps_give_the_known_runs_and_mosaics(real, gap, runs, mosaics, used):
    rule = GroupRule(min_size=10, max_gap_s=gap, max_span_min=1e6)
    assert len(real) == 2388
    assert len(_runs(real, rule, LONG_AFTER)) == runs
    formed = form_groups(real, rule, LONG_AFTER)
    grouped = {name for names in members(formed) for name in names}
    assert (len(formed.groups), len(grouped)) == (mosaics, used)
    assert len(formed.ungrouped) == 2388 - used


def test_real_stamps_under_the_default_rule_leave_little(real):
    formed = form_groups(real, GroupRule(), LONG_AFTER)
    by_id = {item.id: item for item in real}
    spans = [by_id[names[-1]].start - by_id[names[0]].start for names in members(formed)]
    assert max(spans) <= timedelta(minutes=60)
    assert len(formed.ungrouped) < 10
    assert len({group.name for group in formed.groups}) == len(formed.groups)


# the rule


def test_each_group_takes_the_last_two_of_the_one_before():
    formed = form_groups(run_of(18), RULE, LONG_AFTER)
    assert members(formed) == [ids(*range(10)), ids(*range(8, 18))]
    assert formed.ungrouped == ()


def test_names_carry_survey_and_start_and_groups_its_policy():
    rule = GroupRule(survey="night", pipeline="p", publish=PublishSpec(policy=Policy.MANUAL))
    group = form_groups(run_of(10), rule, LONG_AFTER).groups[0]
    assert group.name == "night-20260125t220013z"
    assert (group.spec.pipeline, group.spec.publish.policy) == ("p", Policy.MANUAL)


def test_the_remainder_of_a_run_that_ended_is_a_shorter_tail():
    assert members(form_groups(run_of(11), RULE, LONG_AFTER)) == [ids(*range(10)), ids(8, 9, 10)]
    assert members(form_groups(run_of(4), RULE, LONG_AFTER)) == [ids(0, 1, 2, 3)]


def test_too_short_a_run_is_listed_with_its_reason():
    formed = form_groups(run_of(2), RULE, LONG_AFTER)
    assert formed.groups == ()
    assert [item.observation for item in formed.ungrouped] == list(ids(0, 1))
    assert "2 left of a run of 2; a group needs 3 within 60 min" in formed.ungrouped[0].reason


def test_a_run_that_may_grow_keeps_its_remainder_waiting():
    records = run_of(12)
    now = records[-1].end + timedelta(minutes=1)
    formed = form_groups(records, RULE, now)
    assert members(formed) == [ids(*range(10))]
    assert [item.observation for item in formed.ungrouped] == list(ids(10, 11))
    assert formed.look_again == records[-1].start + timedelta(seconds=900) + STEP + timedelta(minutes=15)
    assert "may grow until" in formed.ungrouped[0].reason
    ended = form_groups(records, RULE, formed.look_again)
    assert members(ended) == [ids(*range(10)), ids(8, 9, 10, 11)]
    assert ended.look_again is None


@pytest.mark.parametrize(("gap_s", "groups"), [(900, 1), (901, 2)])
def test_a_run_breaks_at_the_longest_gap(gap_s, groups):
    second = [observation(0, start=START + 3 * STEP + timedelta(seconds=gap_s) + i * STEP) for i in range(4)]
    assert len(form_groups(run_of(4) + second, RULE, LONG_AFTER).groups) == groups


def test_a_run_breaks_where_the_declination_leaves_its_mean():
    records = [observation(i, dec_deg=16.1 if i < 5 else 16.21) for i in range(10)]
    assert members(form_groups(records, RULE, LONG_AFTER)) == [ids(*range(5)), ids(*range(5, 10))]
    drift = [observation(i, dec_deg=16.1 + 0.1 * (i >= 5)) for i in range(10)]
    assert members(form_groups(drift, RULE, LONG_AFTER)) == [ids(*range(10))]


def test_a_group_never_spans_more_than_the_limit():
    step = timedelta(minutes=14)
    records = [observation(0, start=START + i * step) for i in range(12)]
    formed = form_groups(records, RULE, LONG_AFTER)
    assert [len(names) for names in members(formed)] == [5, 5, 5, 3]
    assert formed.ungrouped == ()


def test_incomplete_and_calibrator_recordings_are_listed():
    records = [*run_of(4), observation(4, state=ObservationState.INCOMPLETE), observation(5, role=Role.GAIN)]
    reasons = {item.observation: item.reason for item in form_groups(records, RULE, LONG_AFTER).ungrouped}
    assert "missing sb03" in reasons[oid(4)]
    assert "gain calibrator" in reasons[oid(5)]


@settings(max_examples=200)
@given(
    gaps=st.lists(st.integers(250, 1500), max_size=60),
    size=st.integers(1, 12),
    overlap=st.integers(0, 4),
    min_size=st.integers(1, 12),
    seed=st.randoms(use_true_random=False),
)
def test_nothing_is_dropped_and_order_does_not_matter(gaps, size, overlap, min_size, seed):
    rule = GroupRule(size=size, overlap=min(overlap, size - 1), min_size=min(min_size, size))
    records, time = [], START
    for gap in gaps:
        time += timedelta(seconds=gap)
        records.append(observation(0, start=time))
    formed = form_groups(records, rule, LONG_AFTER)
    mixed = list(records) * 2
    seed.shuffle(mixed)
    assert form_groups(mixed, rule, LONG_AFTER) == formed
    grouped = {name for names in members(formed) for name in names}
    left = {item.observation for item in formed.ungrouped}
    assert grouped | left == {item.id for item in records}
    assert not grouped & left
    for names in members(formed):
        assert rule.min_size <= len(names) <= rule.size
    for before, after in zip(members(formed), members(formed)[1:], strict=False):
        assert len(set(before) & set(after)) <= rule.overlap
        assert set(after) - set(before)
