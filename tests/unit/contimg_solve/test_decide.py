"""The choice of the bandpass: rules (a) to (e), their inclusive limits, and what freezes it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_world import START, STEP, group_of, observation, oid, transit

from contimg.models.decide import Problem
from contimg.models.fact import Offer
from contimg.models.quality import Verdict
from contimg_solve.decide import decide, wants
from contimg_solve.params import SolveInfo, SolveOptions, SolveParams

MIDDLE = START + STEP  # of two members
NOW = START + timedelta(hours=3)


def table(task="a", hours=1.0, *, dec=16.1, verdict=Verdict.PASS, name="3C48", present=True):
    return Offer(
        task=task * 32,
        stage="solve",
        group="g0",
        key=name,
        at=MIDDLE + timedelta(hours=hours),
        position_deg=dec,
        verdict=verdict,
        present=present,
    )


def problem(*tables, members=None, now=NOW, params=None, recorded=False, **spec):
    return Problem(
        group=group_of(2, **spec),
        params=params or SolveParams(),
        members=tuple((observation(0), observation(1)) if members is None else members),
        calibrators=(),
        expected=2,
        offers=tuple(tables),
        recorded=recorded,
        now=now,
    )


def answer(*tables, **given):
    return decide(problem(*tables, **given))


def calibration(*tables, **given):
    (choice,) = answer(*tables, **given).choices
    assert SolveOptions.model_validate(choice.options)
    return choice.options["calibration"]


def copied(*tables, **given):
    (choice,) = answer(*tables, **given).choices
    return choice.inputs["calibration_table"]


def block(*tables, **given):
    found = answer(*tables, **given)
    assert found.choices == ()
    return found.block


def crossing(index, *transits):
    return observation(index).model_copy(update={"calibrators": transits})


def test_own_calibrator_goes_before_any_table_and_the_brightest_first():
    weak, strong = transit("weak", MIDDLE, 2.0), transit("strong", MIDDLE, 9.0)
    found = answer(table(hours=0), members=[crossing(0, weak), crossing(1, strong)])
    assert found.choices[0].options["calibration"] == {"mode": "own", "calibrator": "strong", "member": oid(1)}
    assert found.choices[0].inputs == {}
    modes = [item.options["calibration"]["mode"] for item in found.candidates]
    assert modes == ["own", "own", "nearest"]


def test_named_calibrator_restricts_every_rule():
    members = [crossing(0, transit("3C48", MIDDLE)), observation(1)]
    assert block(members=members, calibrator="3C286").reason == "NoCalibration"
    assert "or set spec.calibrator to auto" in block(members=members, calibrator="3C286").message
    assert calibration(table(name="3C286"), members=members, calibrator="3C286")["mode"] == "nearest"
    assert calibration(members=members, calibrator="3C48")["mode"] == "own"


@pytest.mark.parametrize(
    ("hours", "mode"),
    [(24.0, "nearest"), (-24.0, "nearest"), (24.0 + 1e-3, "borrowed"), (720.0, "borrowed"), (-720.0, "borrowed")],
)
def test_windows_count_their_limits(hours, mode):
    assert calibration(table(hours=hours))["mode"] == mode


def test_a_borrowed_bandpass_degrades_and_says_whose_it_is():
    assert answer(table(hours=3)).choices[0].degraded is None
    reason, text = answer(table(hours=300)).choices[0].degraded
    assert reason == "BorrowedCalibration"
    assert text.startswith("bandpass borrowed from 3C48 at 2026-02-")


def test_the_limits_are_those_of_the_parameters():
    params = SolveParams(bandpass_window_h=2, borrowed_window_d=1, bandpass_max_dec_offset_deg=0.2)
    assert calibration(table(hours=3), params=params)["mode"] == "borrowed"
    assert block(table(hours=25), params=params).reason == "NoCalibration"
    assert block(table(dec=16.4), params=params).reason == "NoCalibration"


def test_beyond_thirty_days_there_is_none():
    found = block(table(hours=720.001))
    assert (found.reason, found.stalled) == ("NoCalibration", True)


@pytest.mark.parametrize(("dec", "taken"), [(17.1, True), (15.1, True), (17.1001, False)])
def test_declination_limit_counts(dec, taken):
    assert bool(answer(table(dec=dec)).choices) is taken


def test_the_nearest_in_time_wins_before_or_after_and_ties_are_settled():
    assert copied(table("a", 5), table("b", -3)) == ("b" * 32,)
    assert copied(table("a", 3), table("b", -3)) == ("b" * 32,)
    assert copied(table("b", 3), table("a", 3)) == ("a" * 32,)


@pytest.mark.parametrize("bad", [{"verdict": Verdict.FAILED}, {"present": False}])
def test_tables_that_cannot_be_copied_are_passed_over_but_stay_candidates(bad):
    found = answer(table("a", 1, **bad), table("b", 9))
    assert found.choices[0].inputs == {"calibration_table": ("b" * 32,)}
    assert [item.inputs["calibration_table"] for item in found.candidates] == [("a" * 32,), ("b" * 32,)]
    assert bool(found.candidates[0].released) is (bad == {"present": False})


def test_offers_of_other_stages_are_no_bandpasses():
    assert block(table().model_copy(update={"stage": "model"})).reason == "NoCalibration"


def test_degraded_tables_serve():
    assert calibration(table(verdict=Verdict.DEGRADED)) == {
        "mode": "nearest", "calibrator": "3C48", "transit": "2026-01-25T23:05:22",
    }  # fmt: skip


def coming(*hours):
    return [
        observation(0, next_transits=tuple(transit(f"C{h}", MIDDLE + timedelta(hours=h)) for h in hours)),
        observation(1),
    ]


def test_waits_for_the_next_transit_until_half_an_hour_after_it():
    found = block(members=coming(9, 5))
    assert (found.reason, found.stalled) == ("WaitingForTransit", False)
    assert found.again == MIDDLE + timedelta(hours=5, minutes=30)
    assert "C5" in found.message
    assert "2026-01-26T03:05:22 UTC" in found.message
    assert "C9" in block(members=coming(9, 5), now=found.again).message


def test_a_transit_that_comes_too_late_to_be_near_is_not_waited_for():
    assert block(members=coming(25)).reason == "NoCalibration"
    assert calibration(table(hours=-50), members=coming(25))["mode"] == "borrowed"


def test_waits_before_it_borrows_but_not_with_a_near_table():
    assert block(table(hours=-50), members=coming(5)).reason == "WaitingForTransit"
    assert calibration(table(hours=-20), members=coming(5))["mode"] == "nearest"


def test_restricted_wait_looks_at_that_calibrator_only():
    assert block(members=coming(5, 9), calibrator="C9").again == MIDDLE + timedelta(hours=9, minutes=30)


def test_scans_of_calibrators_need_no_choice():
    params = SolveParams(strategy="calibrator-scans")
    assert calibration(params=params) == {"mode": "scans"}
    assert calibration(params=params, calibrator="3C286") == {"mode": "scans", "calibrator": "3C286"}
    assert wants(problem(params=params)) == ()


def test_without_members_there_is_nothing_to_calibrate():
    assert block(members=[]).stalled
    assert wants(problem(members=[])) == ()


def test_the_far_window_is_asked_for_only_when_it_is_needed():
    day, month = timedelta(days=1), timedelta(days=30)
    near, far = wants(problem())
    assert (near.start, near.end, far.start) == (MIDDLE - day, MIDDLE + day, MIDDLE - month)
    assert near.low_deg < 15.1
    assert near.high_deg > 17.1
    assert wants(problem(table(hours=3))) == (near,)
    assert wants(problem(table(hours=3), recorded=True)) == (far,)
    assert wants(problem(members=[crossing(0, transit("3C48", MIDDLE)), observation(1)])) == ()


def test_only_a_bandpass_solved_here_from_a_transit_is_offered():
    own = SolveInfo(mode="own", calibrator="3C48", transit=MIDDLE, dec_deg=16.1)
    offer = own.offer()
    assert (offer.key, offer.at, offer.position_deg, offer.valid_s) == ("3C48", MIDDLE, 16.1, 86400.0)
    for changes in ({"mode": "nearest"}, {"mode": "scans"}, {"transit": None}, {"dec_deg": None}):
        assert own.model_copy(update=changes).offer() is None
