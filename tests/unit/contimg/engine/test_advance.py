"""The engine on a model world: order of the stages, identity, reuse, failures, endings."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest
from engine_world import DSA, START, STEP, VLA, World, group_of, observation, oid, toy_specs, transit

from contimg.engine.advance import advance
from contimg.models.fact import Offer
from contimg.models.group import GroupStatus, Policy, PublishSpec, Selection
from contimg.models.observation import ObservationState, Role
from contimg.models.quality import Verdict

IMAGING = {"image": {"robust": 0.5}}


def a_world(count=3, **spec) -> World:
    world = World(group_of(count, **spec))
    return world.arrive(*[observation(i, calibrator="3C48" if i == 1 else "") for i in range(count)])


def edit(world, **changes):
    spec = world.group.spec.model_copy(update=changes)
    metadata = world.group.metadata.model_copy(update={"generation": world.group.metadata.generation + 1})
    world.group = world.group.model_copy(update={"spec": spec, "metadata": metadata})


def stage_of(status: GroupStatus, name: str):
    return next(item for item in status.stages if item.stage == name)


def test_stages_run_in_order_each_once_per_unit():
    world = a_world()
    decision = world.settle()
    assert decision.status.phase == "Published"
    names = world.stages_run()
    assert Counter(names) == {"convert": 3, "group": 1, "solve": 1, "apply": 3, "image": 3, "mosaic": 1, "publish": 1}
    assert names.index("group") > 2
    assert names[-1] == "publish"


def test_a_complete_group_asks_for_nothing_whatever_was_upgraded_or_cleaned_up():
    world = a_world()
    world.settle()
    world.stages_run()
    world.specs = toy_specs(convert=2, publish=7)
    world.runs = {task: run.model_copy(update={"present": False}) for task, run in world.runs.items()}
    world.reference = {"catalog:new.fits": "c2"}
    assert world.decide().tasks == ()
    world.status = None
    decision = world.decide()
    assert decision.tasks == ()
    assert decision.status.phase == "Published"


def test_status_of_a_complete_group_is_rebuilt_when_it_was_lost():
    world = a_world()
    before = world.settle().status
    world.status = None
    after = world.decide().status
    assert after.stages == before.stages
    assert after.verdict == before.verdict
    assert after.members == (oid(0), oid(1), oid(2))


def test_rerun_after_everything_but_the_runs_was_forgotten_runs_nothing():
    world = a_world()
    world.settle()
    world.stages_run()
    world.records.clear()
    world.tries.clear()
    world.status = None
    assert world.settle().status.phase == "Published"
    assert world.stages_run() == []


def test_editing_imaging_reruns_imaging_and_what_follows_only_and_going_back_nothing():
    world = a_world(stages={"crossmatch": {"enabled": True}})
    world.settle()
    first = world.records["g1"].task
    world.stages_run()
    edit(world, stages=world.group.spec.stages | IMAGING)
    world.settle()
    assert Counter(world.stages_run()) == {"image": 3, "mosaic": 1, "crossmatch": 1, "publish": 1}
    edit(world, stages={"crossmatch": {"enabled": True}})
    decision = world.decide()
    assert [task.task for task in decision.tasks] == [first]
    world.settle()
    assert world.stages_run() == []
    assert world.records["g1"].task == first


def test_an_optional_stage_is_left_out_unless_enabled():
    assert "crossmatch" not in [item.stage for item in a_world().settle().status.stages]
    world = a_world(stages={"crossmatch": {"enabled": True}})
    world.settle()
    assert "crossmatch" in world.stages_run()


def test_a_default_written_out_is_the_same_task():
    plain, said = a_world(), a_world(stages={"image": {"robust": 0.0}})
    plain.settle()
    said.runs, said.reference = plain.runs, plain.reference
    said.settle()
    assert said.stages_run() == []


def test_overlapping_groups_share_conversion_and_calibrate_each_for_itself():
    first = a_world()
    first.settle()
    second = World(group_of(2, name="g2"), observations=first.observations, runs=first.runs)
    second.settle()
    assert Counter(second.stages_run()) == {"group": 1, "solve": 1, "apply": 2, "image": 2, "mosaic": 1, "publish": 1}


def test_task_message_is_complete():
    world = a_world(replay=4)
    world.reference = {"catalog:nvss.fits": "c1", "flags:2026-01-25": "f1", "flags:2026-01-26": "f2"}
    by_stage = {}
    for _ in range(8):
        for task in world.decide().tasks:
            by_stage[task.stage] = task
            world.commit(task)
    convert, solve, mosaic = by_stage["convert"], by_stage["solve"], by_stage["mosaic"]
    assert convert.raw_digest == f"raw-{convert.unit}"
    assert convert.reference == {"flags:2026-01-25": "f1"}
    assert convert.params == {"rfi": "array"}
    assert convert.date == "2026-01-25"
    assert (solve.unit, solve.round, solve.home) == ("g1", 4, "calibration_table")
    assert solve.options == {"calibration": {"mode": "own", "calibrator": "3C48", "member": oid(1)}}
    assert solve.reference == {"catalog:nvss.fits": "c1"}
    assert solve.members == (oid(0), oid(1), oid(2))
    assert list(solve.inputs) == ["group", "raw_ms"]
    assert len(solve.inputs["raw_ms"]) == 3
    assert mosaic.options == {"expected": 3}
    assert by_stage["publish"].options == {"publish": {"policy": "unless-failed", "include": []}}
    assert set(by_stage["publish"].inputs) == {
        "raw_ms", "group", "calibration_table", "calibrated_ms", "image", "mosaic",
    }  # fmt: skip
    assert world.specs["image"].time_limit_s == by_stage["image"].limits.time_s


def test_inputs_stand_in_the_order_of_the_members():
    world = a_world()
    tasks = {}
    for _ in range(8):
        for task in world.decide().tasks:
            tasks[task.stage, task.unit] = task
            world.commit(task)
    expected = tuple(tasks["image", oid(i)].task for i in range(3))
    assert tasks["mosaic", "g1"].inputs["image"] == expected


# failures


def test_a_retryable_failure_is_asked_for_again_a_final_one_is_not_until_replay():
    world = a_world()
    convert = world.decide().tasks[0]
    world.fail(convert)
    assert convert.task in {task.task for task in world.decide().tasks}
    world.fail(convert, "BadInput", final=True)
    assert convert.task not in {task.task for task in world.decide().tasks}
    world.settle()
    assert world.status.phase == "Failed"
    assert "minMembers" in world.status.message
    assert convert.unit in world.status.message
    edit(world, replay=1)
    assert [task.task for task in world.decide().tasks] == [convert.task]
    assert world.settle().status.phase == "Published"


@pytest.mark.parametrize("final", [True, False])
def test_only_the_keeper_says_what_is_given_up(final):
    world = a_world()
    task = world.decide().tasks[0]
    world.start(task)
    world.tries[task.task] = world.tries[task.task].model_copy(update={"running": False, "failed": 7, "final": final})
    asked = {item.task for item in advance(world.group, DSA, world.specs, world.facts(), world.now).tasks}
    assert (task.task not in asked) is final


def test_running_tasks_are_not_asked_for():
    world = a_world()
    first, *others = world.decide().tasks
    world.start(first)
    decision = world.decide()
    assert {task.task for task in decision.tasks} == {task.task for task in others}
    assert stage_of(decision.status, "convert").running == 1


def test_other_members_go_on_and_min_members_lets_the_group_go_on():
    world = a_world(4, min_members=3)
    world.decide()
    bad = next(task for task in world.decide().tasks if task.unit == oid(3))
    world.fail(bad, "BadInput", final=True)
    decision = world.settle()
    assert decision.status.phase == "Published"
    degraded = decision.status.condition("Degraded")
    assert (degraded.status, degraded.reason) == ("True", "MembersDropped")
    assert oid(3) in degraded.message
    publish = world.executed[-1]
    assert publish.members == (oid(0), oid(1), oid(2))
    mosaic = next(task for task in world.executed if task.stage == "mosaic")
    assert mosaic.options["expected"] == 4


def test_a_member_lost_after_solving_changes_neither_group_nor_solve():
    world = a_world(4, min_members=3)
    world.verdicts["image", oid(0)] = Verdict.FAILED
    assert world.settle().status.phase == "Published"
    counts = Counter(world.stages_run())
    assert counts["group"] == counts["solve"] == 1
    assert counts["image"] == 4
    assert stage_of(world.status, "image").failures[0].error == "DataQuality"


def test_an_incomplete_recording_is_a_member_that_failed():
    world = a_world(3).arrive(observation(2, state=ObservationState.INCOMPLETE))
    world.settle()
    assert world.status.phase == "Failed"
    assert "missing sb03" in world.status.message
    ingest = stage_of(world.status, "ingest")
    assert (ingest.done, ingest.total, ingest.failed) == (2, 3, 1)
    edit(world, min_members=2)
    assert world.settle().status.phase == "Published"


def test_a_failed_group_stage_fails_the_group_except_with_policy_always():
    world = a_world()
    world.verdicts["mosaic", "g1"] = Verdict.FAILED
    status = world.settle().status
    assert (status.phase, status.condition("Succeeded").reason) == ("Failed", "DataQuality")
    edit(world, publish=PublishSpec(policy=Policy.ALWAYS))
    assert world.settle().status.phase == "Published"


def test_a_solve_that_cannot_be_done_is_named_as_the_cause():
    world = a_world()
    for _ in range(2):
        for task in world.decide().tasks:
            world.commit(task)
    world.fail(world.decide().tasks[0], "DataQuality", final=True)
    status = world.decide().status
    assert status.phase == "Failed"
    assert "stage solve failed (DataQuality)" in status.message
    assert status.stage == "solve"


# endings


def test_policy_not_met_is_an_ending_and_a_laxer_policy_publishes():
    world = a_world(publish=PublishSpec(policy=Policy.ON_QA_PASS))
    world.verdicts["image", oid(0)] = Verdict.DEGRADED
    status = world.settle().status
    assert status.phase == "Unpublished"
    succeeded = status.condition("Succeeded")
    assert (succeeded.status, succeeded.reason) == ("False", "PolicyNotMet")
    assert "policy on-qa-pass forbids verdict degraded" in succeeded.message
    world.stages_run()
    edit(world, publish=PublishSpec())
    assert world.settle().status.phase == "Published"
    assert world.stages_run() == ["publish"]


def test_manual_waits_for_approval():
    world = a_world(publish=PublishSpec(policy=Policy.MANUAL))
    status = world.settle().status
    assert status.condition("Succeeded").reason == "WaitingForApproval"
    assert "policy manual" in status.message
    world.stages_run()
    world.specs = toy_specs(convert=2)
    assert world.decide().status.phase == "Unpublished", "an upgrade changes nothing in what a person looks at"
    world.specs = toy_specs()
    edit(world, publish=PublishSpec(policy=Policy.MANUAL, approve=True))
    assert world.settle().status.phase == "Published"
    assert world.stages_run() == ["publish"]


def test_names_that_moved_away_are_moved_back():
    world = a_world()
    world.settle()
    world.records["g1"] = world.records["g1"].model_copy(update={"current": False})
    world.status = None
    assert [task.stage for task in world.decide().tasks] == ["publish"]


def test_suspended_asks_for_nothing_and_goes_on_later():
    world = a_world(suspend=True)
    decision = world.decide()
    assert decision.tasks == ()
    assert decision.status.phase == "Suspended"
    assert decision.wanted
    edit(world, suspend=False)
    assert world.settle().status.phase == "Published"


def test_silent_keeper_stops_asking_and_keeps_the_status():
    world = a_world()
    before = world.decide().status
    decision = world.decide(keeper_silent=True)
    assert decision.tasks == ()
    assert decision.look_again is not None
    progressing = decision.status.condition("Progressing")
    assert (progressing.status, progressing.reason) == ("Unknown", "FactsUnavailable")
    assert decision.status.stages == before.stages
    assert [item.type for item in decision.status.conditions] == [item.type for item in before.conditions]


def test_full_bus_is_said_and_asking_goes_on():
    decision = a_world().decide(bus_full=True)
    assert decision.tasks
    assert decision.status.condition("Progressing").reason == "BusFull"
    assert "bus is full" in decision.status.message


def test_invalid_spec_is_a_status_with_the_nearest_name():
    decision = a_world(stages={"image": {"robsut": 1}}).decide()
    assert decision.tasks == ()
    assert decision.status.condition("Stalled").reason == "BadConfig"
    assert "did you mean 'robust'" in decision.status.message
    assert "did you mean 'image'" in a_world(stages={"imge": {}}).decide().status.message


# released runs


def test_released_runs_are_rebuilt_only_if_an_unmet_task_wants_them():
    world = a_world()
    for _ in range(5):
        for task in world.decide().tasks:
            world.commit(task)
    world.stages_run()
    task = next(run.task for run in world.runs.values() if run.stage == "apply")
    world.runs[task] = world.runs[task].model_copy(update={"present": False})
    world.settle()
    assert Counter(world.stages_run()) == {"apply": 1, "mosaic": 1, "publish": 1}


def test_staging_gone_asks_from_convert_on():
    world = a_world()
    for _ in range(5):
        for task in world.decide().tasks:
            world.commit(task)
    world.runs = {task: run.model_copy(update={"present": False}) for task, run in world.runs.items()}
    assert {task.stage for task in world.decide().tasks} == {"convert"}
    assert world.settle().status.phase == "Published"


def test_a_record_that_is_gone_stalls_with_inputs_released():
    world = a_world(observations=Selection(start=START, end=START + 3 * STEP))
    world.decide()
    del world.observations[oid(1)]
    world.arrive(observation(5))
    status = world.settle().status
    assert (status.phase, status.condition("Stalled").reason) == ("Stalled", "InputsReleased")
    assert oid(1) in status.message


def test_an_edit_may_leave_out_members_that_were_shown_before():
    world = a_world(observations=Selection(start=START, end=START + 3 * STEP))
    world.decide()
    edit(world, observations=Selection(start=START, end=START + 2 * STEP))
    assert world.settle().status.members == (oid(0), oid(1))


def test_a_borrowed_table_that_was_cleaned_up_stalls_and_reprocess_chooses_anew():
    other = Offer(
        task="a" * 32, stage="solve", group="g0", key="3C48", at=START, position_deg=16.1, verdict=Verdict.PASS
    )
    world = World(group_of(2)).arrive(observation(0), observation(1))
    world.offers[other.task] = other
    world.runs[other.task] = a_run(world, other.task)
    world.settle()
    edit(world, stages=IMAGING)
    world.runs = {task: run.model_copy(update={"present": False}) for task, run in world.runs.items()}
    for _ in range(3):
        for task in world.decide().tasks:
            world.commit(task)
    status = world.decide().status
    assert (status.phase, status.condition("Stalled").reason) == ("Stalled", "InputsReleased")
    assert "reprocess" in status.message
    fresh = other.model_copy(update={"task": "b" * 32, "at": START + timedelta(hours=1)})
    world.offers[fresh.task] = fresh
    world.runs[fresh.task] = a_run(world, fresh.task)
    edit(world, reprocess=1)
    assert world.settle().status.phase == "Published"


def a_run(world, task):
    fake = a_world(1)
    fake.arrive(observation(0, calibrator="3C48"))
    fake.settle()
    run = next(run for run in fake.runs.values() if run.stage == "solve")
    return run.model_copy(update={"task": task, "unit": "g0"})


# calibration through the whole engine


def test_the_choice_is_frozen_by_the_first_solve_record_and_reprocess_looks_again():
    far = Offer(
        task="a" * 32,
        stage="solve",
        group="g0",
        key="3C48",
        at=START - timedelta(hours=20),
        position_deg=16.1,
        verdict=Verdict.PASS,
    )
    near = far.model_copy(update={"task": "b" * 32, "at": START - timedelta(hours=2)})
    world = World(group_of(2)).arrive(observation(0), observation(1))
    world.offers[far.task] = far
    for table in (far, near):
        world.runs[table.task] = a_run(world, table.task)
    for _ in range(2):
        for task in world.decide().tasks:
            world.commit(task)
    solve = world.decide().tasks[0]
    assert solve.inputs["calibration_table"] == ("a" * 32,)
    world.fail(solve)
    world.offers[near.task] = near
    assert world.decide().tasks[0].task == solve.task
    world.settle()
    world.stages_run()
    edit(world, reprocess=1)
    world.settle()
    assert Counter(world.stages_run()) == {"solve": 1, "apply": 2, "image": 2, "mosaic": 1, "publish": 1}


def test_waiting_for_a_transit_names_it_and_then_borrows():
    coming = transit("3C286", START + timedelta(hours=5))
    world = World(group_of(2)).arrive(observation(0, next_transits=(coming,)), observation(1))
    decision = world.settle()
    assert decision.status.condition("Progressing").reason == "WaitingForTransit"
    assert "3C286" in decision.status.message
    assert decision.look_again == coming.transit + timedelta(minutes=30)
    old = Offer(
        task="a" * 32,
        stage="solve",
        group="g0",
        key="3C48",
        at=START - timedelta(days=9),
        position_deg=16.1,
        verdict=Verdict.PASS,
    )
    world.offers[old.task] = old
    world.runs[old.task] = a_run(world, old.task)
    assert world.settle().status.phase == "Waiting"
    world.now = decision.look_again
    status = world.settle().status
    assert status.phase == "Published"
    assert status.condition("Degraded").reason == "BorrowedCalibration"


def test_nothing_to_borrow_stalls():
    world = World(group_of(1)).arrive(observation(0))
    status = world.settle().status
    assert (status.phase, status.condition("Stalled").reason) == ("Stalled", "NoCalibration")


# pointed arrays


def test_calibrator_recordings_are_converted_and_solved_but_not_imaged():
    selection = Selection(start=START, end=START + 5 * STEP)
    world = World(group_of(2, pipeline_name="vla-continuum", observations=selection), pipeline=VLA)
    roles = [Role.FLUX, Role.GAIN, Role.TARGET, Role.TARGET, Role.GAIN]
    world.arrive(*[observation(i, role=role, instrument="vla") for i, role in enumerate(roles)])
    assert world.settle().status.phase == "Published"
    solve = next(task for task in world.executed if task.stage == "solve")
    assert solve.options == {"calibration": {"mode": "scans"}}
    assert (solve.members, solve.calibrators) == ((oid(2), oid(3)), (oid(0), oid(1), oid(4)))
    units = {task.unit: task.task for task in world.executed if task.stage == "convert"}
    assert solve.inputs["raw_ms"] == tuple(units[oid(i)] for i in (2, 3, 0, 1, 4))
    assert Counter(world.stages_run())["image"] == 2


def test_a_calibrator_recording_that_fails_is_left_out_and_named():
    selection = Selection(start=START, end=START + 3 * STEP)
    world = World(group_of(2, pipeline_name="vla-continuum", observations=selection), pipeline=VLA)
    roles = [Role.FLUX, Role.TARGET, Role.GAIN]
    world.arrive(*[observation(i, role=role, instrument="vla") for i, role in enumerate(roles)])
    world.verdicts["convert", oid(2)] = Verdict.FAILED
    assert world.settle().status.phase == "Published"
    assert oid(2) in world.status.condition("Degraded").message


def test_wanted_spares_every_task_and_the_table_it_copies():
    world = a_world()
    first = world.decide()
    assert {task.task for task in first.tasks} <= set(first.wanted)
    world.settle()
    assert world.decide().wanted == ()


def test_a_group_whose_only_observation_is_incomplete_fails_with_its_sentence():
    world = World(group_of(1)).arrive(observation(0, state=ObservationState.INCOMPLETE))
    decision = world.settle()
    assert decision.tasks == ()
    status = decision.status
    assert (status.phase, status.condition("Succeeded").reason) == ("Failed", "MembersFailed")
    assert "incomplete: 14 of 16 subbands, missing sb03, sb04" in status.message
    sealed = observation(0, calibrator="3C48")
    world.observations[sealed.id] = sealed
    assert world.settle().status.phase == "Published"
