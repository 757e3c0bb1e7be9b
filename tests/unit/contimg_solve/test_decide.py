"""The choice of the bandpass: rules (a) to (e), their inclusive limits, and what freezes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from contimg.engine.calibration import Choice, Problem, choose
from engine_world import START, STEP, World, group_of, observation, oid, transit

from contimg.engine.selection import Block
from contimg.models.fact import GroupRecord, Offer, RunFact
from contimg.models.quality import Verdict

MIDDLE = START + STEP  # of two members
NOW = START + timedelta(hours=3)


def table(task="a", hours=1.0, *, dec=16.1, verdict=Verdict.PASS, name="3C48", group="g0", present=True):
    return Offer(
        task=task * 32,
        group=group,
        calibrator=name,
        transit=MIDDLE + timedelta(hours=hours),
        dec_deg=dec,
        verdict=verdict,
        present=present,
    )


def identify(choice):
    """Name a choice by what it is, as 32 hexadecimal digits."""
    return choice.table or f"{hash(str(choice.options)) & (2**128 - 1):032x}"


def choice(*tables, members=None, now=NOW, runs=(), records=None, **spec):
    world = World(group_of(2, **spec))
    facts = world.facts(tables=tables, runs={run.task: run for run in runs}, groups=records or {})
    members = members or (observation(0), observation(1))
    return choose(Problem(world.group, tuple(members), facts, now), identify)


def crossing(index, *transits):
    return observation(index).model_copy(update={"calibrators": transits})


def test_own_calibrator_goes_before_any_table_and_the_brightest_first():
    weak, strong = transit("weak", MIDDLE, 2.0), transit("strong", MIDDLE, 9.0)
    found = choice(table(hours=0), members=[crossing(0, weak), crossing(1, strong)])
    assert found.options == {"mode": "own", "calibrator": "strong", "member": oid(1)}
    assert found.table == ""


def test_named_calibrator_restricts_every_rule():
    members = [crossing(0, transit("3C48", MIDDLE)), observation(1)]
    assert choice(members=members, calibrator="3C286").reason == "NoCalibration"
    assert choice(table(name="3C286"), members=members, calibrator="3C286").options["mode"] == "nearest"
    assert choice(members=members, calibrator="3C48").options["mode"] == "own"


@pytest.mark.parametrize(
    ("hours", "mode"),
    [(24.0, "nearest"), (-24.0, "nearest"), (24.0 + 1e-3, "borrowed"), (720.0, "borrowed"), (-720.0, "borrowed")],
)
def test_windows_count_their_limits(hours, mode):
    assert choice(table(hours=hours)).options["mode"] == mode


def test_beyond_thirty_days_there_is_none():
    found = choice(table(hours=720.001))
    assert (found.reason, found.stalled) == ("NoCalibration", True)


@pytest.mark.parametrize(("dec", "taken"), [(17.1, True), (15.1, True), (17.1001, False)])
def test_declination_limit_counts(dec, taken):
    assert isinstance(choice(table(dec=dec)), Choice) is taken


def test_the_nearest_in_time_wins_before_or_after_and_ties_are_settled():
    assert choice(table("a", 5), table("b", -3)).table == "b" * 32
    assert choice(table("a", 3), table("b", -3)).table == "b" * 32
    assert choice(table("b", 3), table("a", 3)).table == "a" * 32


@pytest.mark.parametrize("bad", [{"verdict": Verdict.FAILED}, {"present": False}, {"group": "g1"}])
def test_tables_that_cannot_be_copied_are_passed_over(bad):
    assert choice(table("a", 1, **bad), table("b", 9)).table == "b" * 32


def test_degraded_tables_serve():
    assert choice(table(verdict=Verdict.DEGRADED)).options == {
        "mode": "nearest", "calibrator": "3C48", "transit": "2026-01-25T23:05:22",
    }  # fmt: skip


def coming(*hours):
    return [
        observation(0, next_transits=tuple(transit(f"C{h}", MIDDLE + timedelta(hours=h)) for h in hours)),
        observation(1),
    ]


def test_waits_for_the_next_transit_until_half_an_hour_after_it():
    block = choice(members=coming(9, 5))
    assert isinstance(block, Block)
    assert (block.reason, block.stalled) == ("WaitingForTransit", False)
    assert block.again == MIDDLE + timedelta(hours=5, minutes=30)
    assert "C5" in block.message
    assert "2026-01-26T03:05:22 UTC" in block.message
    later = choice(members=coming(9, 5), now=block.again)
    assert "C9" in later.message


def test_a_transit_that_comes_too_late_to_be_near_is_not_waited_for():
    assert choice(members=coming(25)).reason == "NoCalibration"
    assert choice(table(hours=-50), members=coming(25)).options["mode"] == "borrowed"


def test_waits_before_it_borrows_but_not_with_a_near_table():
    assert choice(table(hours=-50), members=coming(5)).reason == "WaitingForTransit"
    assert choice(table(hours=-20), members=coming(5)).options["mode"] == "nearest"


def test_restricted_wait_looks_at_that_calibrator_only():
    assert choice(members=coming(5, 9), calibrator="C9").again == MIDDLE + timedelta(hours=9, minutes=30)


# frozen


def solved(task, at, group="g1"):
    return RunFact(
        task=task, stage="solve", unit=group, home="calibration_table", present=True, verdict=Verdict.PASS, finished=at
    )


def test_the_first_solve_record_of_the_group_freezes_the_choice():
    far, near = table("a", 9), table("b", 1)
    assert choice(far, near, runs=[solved(far.task, NOW)]).table == far.task
    both = [solved(far.task, NOW), solved(near.task, NOW + STEP)]
    assert choice(near, far, runs=both).table == far.task
    assert choice(far, near, runs=[solved(far.task, NOW, "g7")]).table == near.task


def test_a_frozen_table_stays_though_it_was_released_or_judged_later():
    far = table("a", 9, present=False)
    found = choice(far, table("b", 1), runs=[solved(far.task, NOW)])
    assert (found.table, found.present) == (far.task, False)


def test_reprocess_forgets_what_was_frozen_before_the_last_publication():
    far, near = table("a", 9), table("b", 1)
    record = GroupRecord(
        group="g1", spec_digest="x", task="f" * 32, published=True, verdict=Verdict.PASS, at=NOW + STEP
    )
    before, after = [solved(far.task, NOW)], [solved(far.task, NOW + 2 * STEP)]
    assert choice(far, near, runs=before, records={"g1": record}).table == far.task
    assert choice(far, near, runs=before, records={"g1": record}, reprocess=1).table == near.task
    assert choice(far, near, runs=after, records={"g1": record}, reprocess=1).table == far.task
