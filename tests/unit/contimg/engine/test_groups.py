"""Groups from arrivals: the rule on small runs, and on every real stamp of 14 dates."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from engine_world import START, STEP, observation, oid
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.engine.groups import LABEL, _Line, _runs, form_groups, is_formed_by, last_formed, reach
from contimg.limits import ProtocolLimits
from contimg.models.fact import IngestFact, UnsealedFact
from contimg.models.group import ObservationGroup, Policy, PublishSpec
from contimg.models.observation import ObservationState, Role
from contimg.models.resource import Metadata
from contimg.models.survey import GroupRules, GroupTemplate, Survey, SurveySpec

DATA = Path(__file__).parents[3] / "data" / "subband_stamps.csv"
"""File-name stamps of DSA-110 recordings, as steps in seconds; facts of ../reference/dsa110.md, section 1.6."""
FIRST = datetime(2026, 1, 25, 0, 0, 10, tzinfo=UTC)
LONG_AFTER = datetime(2027, 1, 1, tzinfo=UTC)


def a_survey(name="night", pipeline="p", **spec):
    rules = {key: spec.pop(key) for key in list(spec) if key in GroupRules.model_fields}
    return Survey(metadata=Metadata(name=name), spec=SurveySpec(pipeline=pipeline, groups=GroupRules(**rules), **spec))


RULE = a_survey()


def formed_from(records, survey=RULE, now=LONG_AFTER, formed=(), unsealed=()):
    sets = tuple(UnsealedFact(start=item.start, sentence="3 of 16 files", id=item.id) for item in unsealed)
    return form_groups(records, survey, formed, IngestFact(scanned=now, unsealed=sets), now)


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
    rule = a_survey(min_size=10, max_gap_s=gap, max_span_min=1e6)
    assert len(real) == 2388
    assert len(_runs(_Line(rule, (), real, None, LONG_AFTER, ProtocolLimits()))) == runs
    formed = formed_from(real, rule, LONG_AFTER)
    grouped = {name for names in members(formed) for name in names}
    assert (len(formed.groups), len(grouped)) == (mosaics, used)
    assert len(formed.ungrouped) == 2388 - used


def test_real_stamps_under_the_default_rule_leave_little(real):
    formed = formed_from(real, a_survey(), LONG_AFTER)
    by_id = {item.id: item for item in real}
    spans = [by_id[names[-1]].start - by_id[names[0]].start for names in members(formed)]
    assert max(spans) <= timedelta(minutes=60)
    assert len(formed.ungrouped) < 10
    assert len({group.name for group in formed.groups}) == len(formed.groups)


# the rule


def test_each_group_takes_the_last_two_of_the_one_before():
    formed = formed_from(run_of(18), RULE, LONG_AFTER)
    assert members(formed) == [ids(*range(10)), ids(*range(8, 18))]
    assert formed.ungrouped == ()


def test_names_carry_survey_and_start_and_groups_its_policy():
    rule = a_survey(publish=PublishSpec(policy=Policy.MANUAL))
    group = formed_from(run_of(10), rule, LONG_AFTER).groups[0]
    assert group.name == "night-20260125t220013z"
    assert (group.spec.pipeline, group.spec.publish.policy) == ("p", Policy.MANUAL)


def test_the_remainder_of_a_run_that_ended_is_a_shorter_tail():
    assert members(formed_from(run_of(11), RULE, LONG_AFTER)) == [ids(*range(10)), ids(8, 9, 10)]
    assert members(formed_from(run_of(4), RULE, LONG_AFTER)) == [ids(0, 1, 2, 3)]


def test_too_short_a_run_is_listed_with_its_reason():
    formed = formed_from(run_of(2), RULE, LONG_AFTER)
    assert formed.groups == ()
    assert [item.observation for item in formed.ungrouped] == list(ids(0, 1))
    assert "2 left of a run of 2; a group needs 3 within 60 min" in formed.ungrouped[0].reason


def test_a_run_that_may_grow_keeps_its_remainder_waiting():
    records = run_of(12)
    now = records[-1].end + timedelta(minutes=1)
    formed = formed_from(records, RULE, now)
    assert members(formed) == [ids(*range(10))]
    assert [item.observation for item in formed.ungrouped] == list(ids(10, 11))
    assert formed.look_again == records[-1].start + timedelta(seconds=900) + STEP + timedelta(minutes=15)
    assert "left of a run that waits for more until" in formed.ungrouped[0].reason
    ended = formed_from(records, RULE, formed.look_again)
    assert members(ended) == [ids(*range(10)), ids(8, 9, 10, 11)]
    assert ended.look_again is None


@pytest.mark.parametrize(("gap_s", "groups"), [(900, 1), (901, 2)])
def test_a_run_breaks_at_the_longest_gap(gap_s, groups):
    second = [observation(0, start=START + 3 * STEP + timedelta(seconds=gap_s) + i * STEP) for i in range(4)]
    assert len(formed_from(run_of(4) + second, RULE, LONG_AFTER).groups) == groups


def test_a_run_breaks_where_the_declination_leaves_its_mean():
    records = [observation(i, dec_deg=16.1 if i < 5 else 16.21) for i in range(10)]
    assert members(formed_from(records, RULE, LONG_AFTER)) == [ids(*range(5)), ids(*range(5, 10))]
    drift = [observation(i, dec_deg=16.1 + 0.1 * (i >= 5)) for i in range(10)]
    assert members(formed_from(drift, RULE, LONG_AFTER)) == [ids(*range(10))]


def test_a_group_never_spans_more_than_the_limit():
    step = timedelta(minutes=14)
    records = [observation(0, start=START + i * step) for i in range(12)]
    formed = formed_from(records, RULE, LONG_AFTER)
    assert [len(names) for names in members(formed)] == [5, 5, 5, 3]
    assert formed.ungrouped == ()


def test_incomplete_and_calibrator_recordings_are_listed():
    records = [*run_of(4), observation(4, state=ObservationState.INCOMPLETE), observation(5, role=Role.GAIN)]
    reasons = {item.observation: item.reason for item in formed_from(records, RULE, LONG_AFTER).ungrouped}
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
    survey = a_survey(size=size, overlap=min(overlap, size - 1), min_size=min(min_size, size))
    rule = survey.spec.groups
    records, time = [], START
    for gap in gaps:
        time += timedelta(seconds=gap)
        records.append(observation(0, start=time))
    formed = formed_from(records, survey)
    mixed = list(records) * 2
    seed.shuffle(mixed)
    assert formed_from(mixed, survey) == formed
    grouped = {name for names in members(formed) for name in names}
    left = {item.observation for item in formed.ungrouped}
    assert grouped | left == {item.id for item in records}
    assert not grouped & left
    for names in members(formed):
        assert rule.min_size <= len(names) <= rule.size
    for before, after in pairwise(members(formed)):
        assert len(set(before) & set(after)) <= rule.overlap
        assert set(after) - set(before)


# true order


def test_nothing_is_formed_before_a_full_scan():
    formed = form_groups(run_of(10), RULE, (), IngestFact(), LONG_AFTER)
    assert formed.groups == ()
    assert len(formed.ungrouped) == 10
    assert "first full scan" in formed.ungrouped[0].reason


def test_the_third_of_eight_seals_last_and_gives_two_groups_and_names_the_eighth():
    survey = a_survey(size=4, overlap=1)
    records = run_of(8)
    soon = records[-1].end + timedelta(seconds=1)
    third = records.pop(2)
    before = formed_from(records, survey, soon, unsealed=[third])
    assert before.groups == ()
    assert {item.reason for item in before.ungrouped} == {
        "2 left of a run that waits for the file set of 2026-01-25T22:10:31, which is still being written",
        "waits for the file set of 2026-01-25T22:10:31, which is still being written",
    }
    after = formed_from([*records, third], survey, soon)
    assert members(after) == [ids(0, 1, 2, 3), ids(3, 4, 5, 6)]
    assert [item.observation for item in after.ungrouped] == [oid(7)]
    ended = formed_from([*records, third], survey, LONG_AFTER, formed=after.groups)
    assert ended.groups == ()
    assert [item.observation for item in ended.ungrouped] == [oid(7)]
    assert "a group needs 3" in ended.ungrouped[0].reason


def test_the_chain_goes_on_from_what_was_formed_though_a_late_one_comes_between():
    survey = a_survey(size=4, overlap=1)
    first = formed_from([item for item in run_of(5) if item.id != oid(1)], survey, observation(4).end)
    assert members(first) == [ids(0, 2, 3, 4)]
    more = formed_from(run_of(8), survey, LONG_AFTER, formed=first.groups)
    assert members(more) == [ids(4, 5, 6, 7)]
    assert [item.observation for item in more.ungrouped] == [oid(1)]
    assert "formed before it came" in more.ungrouped[0].reason


def test_recordings_before_the_start_are_left_alone():
    formed = formed_from(run_of(10), a_survey(start=START + 2 * STEP))
    assert members(formed) == [ids(*range(2, 10))]
    assert formed.ungrouped == ()


def test_the_template_goes_into_every_group():
    template = GroupTemplate(stages={"image": {"robust": 1}}, calibrator="3C48", min_members=7)
    groups = formed_from(run_of(13), a_survey(template=template, shard="north")).groups
    assert {group.spec.calibrator for group in groups} == {"3C48"}
    assert {group.spec.shard for group in groups} == {"north"}
    assert groups[0].spec.stages == {"image": {"robust": 1}}
    assert [group.spec.min_members for group in groups] == [7, 5]
    assert groups[0].metadata.labels == {LABEL: "night"}


def test_how_far_back_the_observations_must_reach():
    groups = formed_from(run_of(18)).groups
    assert reach(RULE, ()) is None
    assert reach(a_survey(start=START), ()) == START
    assert reach(RULE, groups) == START + 8 * STEP
    assert last_formed(reversed(groups)) == groups[1]


def test_without_the_records_of_the_last_group_nothing_is_formed():
    groups = formed_from(run_of(10)).groups
    found = formed_from(run_of(20, first=12), formed=groups)
    assert found.groups == ()
    assert "waits for the records of night-20260125t220013z" in found.ungrouped[0].reason


@settings(max_examples=150)
@given(
    gaps=st.lists(st.integers(250, 1500), min_size=1, max_size=25),
    size=st.integers(1, 6),
    overlap=st.integers(0, 3),
    min_size=st.integers(1, 6),
    data=st.data(),
)
def test_whatever_the_order_of_arrival_sealing_and_looks_no_group_changes_and_nothing_is_lost(
    gaps, size, overlap, min_size, data
):
    """File sets are seen in order of time and sealed in any order; looks happen at any moment."""
    survey = a_survey(size=size, overlap=min(overlap, size - 1), min_size=min(min_size, size))
    times = [START + timedelta(seconds=sum(gaps[: number + 1])) for number in range(len(gaps))]
    records = [observation(0, start=time) for time in times]
    formed, seen, sealed, now = [], 0, set(), START
    while seen < len(records) or len(sealed) < len(records):
        if seen < len(records) and (len(sealed) == seen or data.draw(st.booleans())):
            now = max(now, records[seen].end)
            seen += 1
        else:
            sealed.add(data.draw(st.sampled_from(sorted(set(range(seen)) - sealed))))
        if data.draw(st.booleans()):
            look(records, seen, sealed, survey, formed, now)
    look(records, seen, sealed, survey, formed, now)
    look(records, seen, sealed, survey, formed, LONG_AFTER)


def look(records, seen, sealed, survey, formed, now):
    """Look once, with what lies before the last group left out; check what must always hold."""
    writing = [records[i] for i in range(seen) if i not in sealed]
    known = [records[i] for i in sorted(sealed)]
    back = reach(survey, formed)
    near = [item for item in known if back is None or item.start >= back]
    found = formed_from(near, survey, now, formed, writing)
    assert found == formed_from(near, survey, now, list(reversed(formed)), writing)
    names = {group.name for group in formed}
    for group in found.groups:
        assert group.name not in names
        names.add(group.name)
        starts = [item.start for item in records if item.id in group.spec.observations.members]
        assert all(item.start > max(starts) for item in writing)
    formed += found.groups
    inside = {name for group in formed for name in group.spec.observations.members}
    left = {item.observation for item in found.ungrouped}
    assert {item.id for item in near} <= inside | left
    assert not inside & left
    chain = [group.spec.observations.members for group in formed]
    for before, after in pairwise(chain):
        assert len(set(before) & set(after)) <= survey.spec.groups.overlap


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("strip-20260125t222600z", True),
        ("strip-20260125t222600z-copy", False),
        ("mystrip-20260125t222600z", False),
        ("my-own-name", False),
    ],
)
def test_a_copied_group_under_another_name_is_not_the_survey_s(name, ours):
    spec = {"pipeline": "dsa110-continuum", "observations": {"members": ["2026-01-25T22:26:00"]}}
    group = ObservationGroup.model_validate({"metadata": {"name": name}, "spec": spec})
    assert is_formed_by("strip", group) is ours
