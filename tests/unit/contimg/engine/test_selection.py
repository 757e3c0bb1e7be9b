"""When a selection is closed (P10), and how its waiting is told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_world import START, STEP, group_of, observation, oid

from contimg.engine.selection import select
from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.fact import Facts, IngestFact, UnsealedFact
from contimg.models.group import GroupStatus, Selection
from contimg.models.observation import ObservationState, Role

NOW = START + timedelta(hours=3)
SEEN = GroupStatus(observed_generation=1, phase="Running", started=START)


def chosen(selection, *records, scanned=NOW, unsealed=(), now=NOW, seen=SEEN, instrument="dsa110"):
    group = group_of(1, observations=selection)
    facts = Facts(observations=records, ingest=IngestFact(scanned=scanned, unsealed=unsealed))
    return select(group, instrument, facts, now, seen, ProtocolLimits())


def first(count):
    return [observation(i) for i in range(count)]


def until(index):
    return Selection(start=START, end=START + index * STEP)


def writing(index, sentence="13 of 16 subbands, missing sb03"):
    return (UnsealedFact(start=START + index * STEP, sentence=sentence, id=oid(index)),)


def test_count_is_closed_when_count_are_final():
    wish = Selection(start=START, count=3)
    assert chosen(wish, *first(2)).block.reason == "WaitingForObservations"
    found = chosen(wish, *first(5))
    assert found.block is None
    assert [item.id for item in found.members] == [oid(0), oid(1), oid(2)]


def test_count_waits_for_an_unsealed_set_before_its_last_member_only():
    wish = Selection(start=START, count=3)
    records = [observation(0), observation(2), observation(3)]
    assert chosen(wish, *records, unsealed=writing(1)).block.reason == "WaitingForObservations"
    assert chosen(wish, *first(3), unsealed=writing(3)).block is None


def test_waiting_names_and_counts_what_is_missing():
    block = chosen(Selection(start=START, count=10), *first(7), unsealed=writing(7)).block
    assert block.message == (f"waiting for 3 of 10 observations: {oid(7)}: 13 of 16 subbands, missing sb03")


def test_long_waits_name_three_and_count_the_rest():
    unsealed = tuple(item for i in range(5) for item in writing(i))
    message = chosen(Selection(start=START, count=5), unsealed=unsealed).block.message
    assert message.count("missing sb03") == 3
    assert message.endswith("and 2 more")


def test_range_is_closed_by_a_later_observation_of_the_same_telescope():
    early = START + 2 * STEP
    assert chosen(until(3), *first(3), now=early, scanned=early).block is not None
    assert chosen(until(3), *first(4), now=early, scanned=early).block is None
    other = observation(3, instrument="vla")
    assert chosen(until(3), *first(3), other, now=early, scanned=early).block is not None


@pytest.mark.parametrize(("seconds", "closed"), [(-1, False), (0, True)])
def test_range_is_closed_a_quarter_of_an_hour_after_its_end(seconds, closed):
    now = START + 3 * STEP + timedelta(minutes=15, seconds=seconds)
    block = chosen(until(3), *first(2), now=now, scanned=now).block
    assert (block is None) is closed
    if block is not None:
        assert block.again == START + 3 * STEP + timedelta(minutes=15)


def test_range_contains_its_start_and_not_its_end():
    found = chosen(until(2), *first(4))
    assert [item.id for item in found.targets] == [oid(0), oid(1)]


def test_range_waits_for_unsealed_sets_inside_and_not_outside():
    assert chosen(until(3), *first(2), unsealed=writing(2)).block.reason == "WaitingForObservations"
    assert chosen(until(3), *first(3), unsealed=writing(3)).block is None


@pytest.mark.parametrize(
    ("scanned", "waits"),
    [(None, True), (SEEN.started - timedelta(minutes=1), True), (SEEN.started, False), (NOW, False)],
)
def test_ingest_must_have_scanned_since_the_group_was_seen(scanned, waits):
    block = chosen(until(3), *first(3), scanned=scanned).block
    assert (block is not None) is waits
    if block is not None:
        assert (block.reason, block.again) == ("WaitingForScan", NOW + timedelta(seconds=30))


def test_a_group_never_seen_before_waits_for_the_next_scan():
    assert chosen(until(3), *first(3), seen=None, scanned=NOW - timedelta(minutes=1)).block is not None
    assert chosen(until(3), *first(3), seen=None, scanned=NOW).block is None


def test_named_members_need_no_scan_and_say_who_is_missing():
    wish = Selection(members=(oid(0), oid(1), oid(4)))
    block = chosen(wish, *first(1), scanned=None, unsealed=writing(1)).block
    assert block.message == (
        f"waiting for 2 of 3 observations: {oid(1)}: 13 of 16 subbands, missing sb03; {oid(4)}: no files seen"
    )
    assert chosen(wish, *first(5), scanned=None).block is None


def test_named_member_of_another_telescope_is_refused():
    with pytest.raises(BadConfig, match="was recorded by vla, not dsa110"):
        chosen(Selection(members=(oid(0),)), observation(0, instrument="vla"))


def test_roles_part_members_from_calibrators():
    roles = [Role.FLUX, Role.TARGET, Role.GAIN, Role.TARGET]
    records = [observation(i, role=role) for i, role in enumerate(roles)]
    found = chosen(until(4), *records)
    assert [item.id for item in found.members] == [oid(1), oid(3)]
    assert [item.id for item in found.calibrators] == [oid(0), oid(2)]
    assert found.expected == 2
    named = chosen(Selection(members=(oid(0), oid(1))), *records)
    assert (named.expected, len(named.calibrators), named.block) == (1, 1, None)


def test_incomplete_ones_are_final_listed_and_no_members():
    records = [observation(0), observation(1, state=ObservationState.INCOMPLETE)]
    found = chosen(Selection(start=START, count=2), *records)
    assert found.block is None
    assert (len(found.targets), len(found.members), found.expected) == (2, 1, 2)
    assert [item.id for item in found.incomplete] == [oid(1)]


def test_order_and_repetition_of_facts_do_not_matter():
    records = first(4)
    assert chosen(until(4), *records) == chosen(until(4), *reversed(records), *records)


def test_nothing_inside_is_a_stall_that_names_the_range():
    block = chosen(until(3)).block
    assert (block.reason, block.stalled) == ("NoObservations", True)
    assert f"[{oid(0)}, {oid(3)})" in block.message


@pytest.mark.parametrize("wish", [until(3), Selection(members=tuple(oid(i) for i in range(3)))])
def test_a_member_whose_record_vanished_is_named_until_it_is_back(wish):
    seen = SEEN.model_copy(update={"members": (oid(0), oid(1), oid(2))})
    found = chosen(wish, observation(0), observation(2), seen=seen)
    assert (found.block.reason, found.block.stalled) == ("InputsReleased", True)
    assert oid(1) in found.block.message
    assert found.names == (oid(0), oid(2), oid(1))
    assert chosen(wish, *first(3), seen=seen).block is None


def test_members_outside_an_edited_selection_are_not_missed():
    seen = SEEN.model_copy(update={"members": (oid(0), oid(1), oid(2))})
    edited = seen.model_copy(update={"observed_generation": 0})
    assert chosen(until(2), *first(3), seen=edited).block is None
    earlier = Selection(start=START, count=2)
    assert chosen(earlier, *first(3), seen=seen).block is None


def test_file_sets_of_another_instrument_are_not_waited_for():
    other = writing(1)[0].model_copy(update={"instrument": "vla"})
    assert chosen(until(3), *first(3), unsealed=(other,)).block is None
    own = other.model_copy(update={"instrument": "dsa110"})
    assert chosen(until(3), *first(3), unsealed=(own,)).block is not None


def test_what_the_watcher_could_not_do_is_told_while_its_scan_is_waited_for():
    group = group_of(1, observations=until(3))
    facts = Facts(observations=tuple(first(3)), ingest=IngestFact(problems=("incoming/ cannot be read",)))
    found = select(group, "dsa110", facts, NOW, SEEN, ProtocolLimits())
    assert (
        found.block.message
        == "waiting for a scan of incoming/ to finish; the watcher of arrivals says: incoming/ cannot be read"
    )


def test_scaled_limits_close_a_selection_sooner():
    group = group_of(1, observations=until(3))
    now = START + 3 * STEP + timedelta(seconds=10)
    facts = Facts(observations=tuple(first(3)), ingest=IngestFact(scanned=now))
    assert select(group, "dsa110", facts, now, SEEN, ProtocolLimits()).block is not None
    assert select(group, "dsa110", facts, now, SEEN, ProtocolLimits().scaled(0.01)).block is None
