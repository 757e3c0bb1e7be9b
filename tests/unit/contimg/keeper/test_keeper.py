"""What workers register is what the engine hears, also after every loss."""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import timedelta

import pytest
from keeper_site import T0, everything, task_of

from contimg.errors import BadConfig, Damaged, Unavailable
from contimg.keeper.facts import questions
from contimg.keeper.keeper import Keeper
from contimg.models.fact import Needs
from contimg.models.survey import FileSetRules

SOLVED = {"mode": "own", "calibrator": "3C48", "transit": T0.isoformat(), "dec_deg": 33.16}


def fill(site, keeper):
    """A group of two observations from raw files to a published mosaic."""
    for minutes in (0, 5):
        site.observation(minutes)
    convert = site.commit("convert", "2026-01-25T22:00:00", raw=("2026-01-25/2200_sb00.hdf5",))
    solve = site.commit("solve", "g", inputs=[convert], name="g_bpcal", info=SOLVED)
    mosaic = site.commit("mosaic", "g", inputs=[convert, solve])
    publish = site.publish([convert, solve, mosaic])
    for task, home in (convert, solve, mosaic, publish):
        if home == "metadata":
            site.archive(task)
            keeper.register_group(site.group(task))
        site.name(task, home)
        keeper.register_run(task, home)
        keeper.register_attempt(site.attempt(task, 1, "committed").task, 1)
    return convert, solve, mosaic, publish


def test_facts_tell_what_was_registered(site, layout):
    with Keeper(layout) as keeper:
        convert, solve, _, publish = fill(site, keeper)
        facts = everything(keeper)
        assert set(facts.runs) == {task_of(f"{s} {u} a") for s, u in (
            ("convert", "2026-01-25T22:00:00"), ("solve", "g"), ("mosaic", "g"), ("publish", "g"))}  # fmt: skip
        assert (facts.runs[convert[0]].home, facts.runs[convert[0]].group) == ("raw_ms", "g")
        assert facts.runs[convert[0]].figures == ()  # those that pass say nothing
        assert [o.id for o in facts.observations] == ["2026-01-25T22:00:00", "2026-01-25T22:05:00"]
        (offer,) = facts.offers
        assert (offer.task, offer.key, offer.at, offer.position_deg, offer.present) == (
            solve[0],
            "3C48",
            T0,
            33.16,
            True,
        )
        assert facts.record.task == publish[0]
        assert facts.record.current
        assert facts.tries[convert[0]].last.number == 1
        assert not facts.tries[convert[0]].final
        assert facts.more == ""


def test_facts_are_equal_after_all_databases_are_deleted(site, layout):
    with Keeper(layout) as keeper:
        fill(site, keeper)
        before, rows = everything(keeper), list(keeper.queries.rows("products"))
    for path in layout.databases.values():
        path.unlink()
    with Keeper(layout) as keeper:
        assert set(keeper.index.rebuilt) == set(layout.databases)
        assert everything(keeper) == before
        assert list(keeper.queries.rows("products")) == rows


@pytest.mark.parametrize("lost", ["ingest", "products", "cal_registry", "data_registry"])
def test_one_lost_database_is_filled_again(site, layout, lost):
    with Keeper(layout) as keeper:
        fill(site, keeper)
        before, rows = everything(keeper), list(keeper.queries.rows("products"))
    layout.databases[lost].unlink()
    with Keeper(layout) as keeper:
        assert everything(keeper) == before
        assert list(keeper.queries.rows("products")) == rows
        assert len(list(keeper.queries.rows("attempts"))) == 4


def test_registering_twice_changes_nothing(site, layout):
    with Keeper(layout) as keeper:
        convert, *_ = fill(site, keeper)
        before, rows = everything(keeper), list(keeper.queries.rows("runs"))
        keeper.register_run(*convert)
        keeper.register_attempt(convert[0], 1)
        keeper.register_group(before.record)
        assert everything(keeper) == before
        assert list(keeper.queries.rows("runs")) == rows
        assert keeper.scan().read == 0


def test_only_what_is_asked_for_is_answered(site, layout):
    with Keeper(layout) as keeper:
        convert, *_ = fill(site, keeper)
        facts = keeper.facts(Needs(group="other", tasks=(convert[0],)))
        assert set(facts.runs) == set(facts.tries) == {convert[0]}
        assert (facts.record, facts.offers, facts.observations) == (None, (), ())


def test_a_run_that_was_not_registered_is_no_fact_until_a_worker_adopts_it(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.scan()
        assert keeper.facts(Needs(group="g", tasks=(task,))).runs == {}
        keeper.register_run(task, home)
        assert everything(keeper).runs[task].present


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([("failed", "Unavailable", True)] * 2, (2, 0, False)),
        ([("failed", "Unavailable", True)] * 3, (3, 0, True)),
        ([("failed", "BadInput", True)], (1, 0, True)),
        ([("failed", "NoSuchClassYet", True)], (1, 0, True)),
        ([("failed", "WorkerLost", False)] * 9, (0, 9, False)),
        ([("failed", "WorkerLost", False)] * 10, (0, 10, True)),
        ([("failed", "Unavailable", True)] * 2 + [("committed", "", True)], (2, 0, False)),
        ([("running", "", True)], (0, 0, False)),
    ],
)
def test_tries_are_counted(site, layout, states, expected):
    task = task_of("x")
    with Keeper(layout) as keeper:
        for number, (state, error, counted) in enumerate(states, start=1):
            site.attempt(task, number, state, error=error, counted=counted)
            keeper.register_attempt(task, number)
        fact = everything(keeper).tries[task]
        assert (fact.failed, fact.lost, fact.final) == expected
        assert fact.first == T0 + timedelta(seconds=1)
        assert not fact.running


def test_only_the_highest_round_counts(site, layout):
    task = task_of("x")
    with Keeper(layout) as keeper:
        site.attempt(task, 1, "failed", error="BadInput")
        site.attempt(task, 2, "failed", error="Retryable", round_=1)
        fact = everything(keeper).tries[task]
        assert (fact.round, fact.failed, fact.final, fact.last.number) == (1, 1, False, 2)


def test_running_means_a_held_and_fresh_lock(site, layout):
    task = task_of("x")
    site.attempt(task, 1, "running")
    with Keeper(layout) as keeper:
        layout.locks.mkdir(parents=True)
        with (layout.locks / task).open("w") as handle:
            assert not everything(keeper).tries[task].running
            fcntl.flock(handle, fcntl.LOCK_EX)
            assert everything(keeper).tries[task].running
            old = time.time() - keeper.limits.lock_fresh_s - 5
            os.utime(layout.locks / task, (old, old))
            assert not everything(keeper).tries[task].running


def test_an_attempt_is_seen_before_its_worker_says_anything(site, layout):
    task, home = task_of("mosaic g a"), "mosaic"
    needs = Needs(group="g", tasks=(task,))
    with Keeper(layout) as keeper:
        assert keeper.facts(needs).tries == {}
        site.attempt(task, 1, "running")
        layout.locks.mkdir(parents=True)
        with (layout.locks / task).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            assert keeper.facts(needs).tries[task].running
        site.attempt(task, 1, "failed", error="Retryable", counted=False)
        fact = keeper.facts(needs).tries[task]  # handed back, which nobody registers
        assert (fact.running, fact.failed, fact.last.state) == (False, 0, "failed")
        site.attempt(task, 2, "committed")
        site.commit("mosaic", "g", attempt=2)
        keeper.register_run(task, home)
        assert [row["state"] for row in keeper.queries.rows("attempts")] == ["failed", "committed"]


def test_a_settled_directory_of_attempts_is_not_read_again(site, layout, monkeypatch):
    """A directory that changed two seconds ago cannot change again under the same time stamp."""
    task = task_of("x")
    site.attempt(task, 1, "failed", error="Retryable")
    old = time.time() - 10
    os.utime(layout.attempts / task, (old, old))
    needs = Needs(group="g", tasks=(task,))
    with Keeper(layout) as keeper:
        before = keeper.facts(needs)
        monkeypatch.setattr("contimg.keeper.sources._attempts", lambda *_: pytest.fail("read again"))
        assert keeper.facts(needs) == before
        monkeypatch.undo()
        site.attempt(task, 2, "failed", error="Retryable")
        assert keeper.facts(needs).tries[task].failed == 2


def test_every_try_of_a_unit_is_on_record_for_choices(site, layout):
    """Also one that began a moment ago at a task that nobody asks for any more."""
    begun, done = task_of("begun"), site.commit("image", "u")
    with Keeper(layout) as keeper:
        keeper.register_run(*done)
        needs = Needs(group="g", units=(("image", "u"),))
        assert set(keeper.facts(needs).runs) == {done[0]}
        site.attempt(begun, 1, "running")  # of stage image, unit u
        (layout.active("imaging") / f"{begun}-1").mkdir(parents=True)
        assert set(keeper.facts(needs).tries) == {begun}


def test_a_second_keeper_is_told_who_holds_the_lock(layout):
    with (
        Keeper(layout),
        pytest.raises(Unavailable, match=rf"keeper.lock is held by pid {os.getpid()} on .*end that run"),
    ):
        Keeper(layout)
    Keeper(layout).close()


def status_of_mosaics(keeper):
    rows = keeper.queries.rows("products")
    return {row["task"]: row["state"] for row in rows if row["data_type"] == "mosaic"}


def test_a_group_is_not_current_when_its_names_lead_to_another_run(site, layout):
    with Keeper(layout) as keeper:
        _, _, first, publish = fill(site, keeper)
        other = site.commit("mosaic", "g", version="b")
        other_publish = site.publish([other], version="b")
        for task, home in (other, other_publish):
            keeper.register_run(task, home)
        site.archive(other_publish[0])
        assert not everything(keeper).record.current
        keeper.register_group(site.group(other_publish[0], "d2"))
        assert everything(keeper).record.current
        assert status_of_mosaics(keeper) == {first[0]: "superseded", other[0]: "published"}
        site.archive(publish[0])
        assert not everything(keeper).record.current
        keeper.register_group(site.group(publish[0]))
        assert everything(keeper).record.current
        assert status_of_mosaics(keeper) == {first[0]: "published", other[0]: "superseded"}


def test_a_cleaned_up_staging_area_leaves_a_group_current(site, layout):
    with Keeper(layout) as keeper:
        fill(site, keeper)
        layout.stage_base.rename(layout.stage_base.with_name("gone"))
        facts = everything(keeper)
        assert not any(run.present or run.damaged for run in facts.runs.values())
        assert not facts.offers[0].present
        assert facts.record.current


def test_a_run_made_again_counts_when_it_is_registered(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        layout.run(home, task).rename(layout.stage_base / "elsewhere")
        assert not everything(keeper).runs[task].present
        site.commit("mosaic", "g", attempt=2)
        assert not everything(keeper).runs[task].present
        keeper.register_run(task, home)
        assert everything(keeper).runs[task].present
        assert keeper.queries.run(task).attempt == 2


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda run: (run / "g.fits").unlink(), r"g\.fits is missing although the manifest of its run lists it"),
        (lambda run: (run / "g.fits").write_text("x"), r"g\.fits has 1 bytes, its manifest says 11"),
        (lambda run: (run / "manifest.json").write_text("{garbage"), r"manifest.json is no Manifest: .* restore it"),
        (lambda run: (run / "manifest.json").unlink(), r"has no manifest.json|manifest.json cannot be read"),
    ],
)
def test_a_damaged_run_is_not_there_and_says_why_so_that_it_is_made_again(site, layout, harm, sentence):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        fine = site.commit("convert", "u")
        keeper.register_run(task, home)
        keeper.register_run(*fine)
        assert everything(keeper).runs[task].present
        harm(layout.run(home, task))
        facts = everything(keeper)
        assert not facts.runs[task].present
        assert facts.runs[fine[0]].present
        with pytest.raises(Damaged, match=sentence):
            raise Damaged(facts.runs[task].damaged)
        with pytest.raises(Damaged, match=sentence):
            keeper.register_run(task, home)
        layout.run(home, task).rename(layout.runs(home) / f"{task}.damaged-1")  # as its worker does
        site.commit("mosaic", "g", attempt=2)
        keeper.register_run(task, home)
        run = everything(keeper).runs[task]
        assert (run.present, run.damaged) == (True, "")


def test_damaged_records_are_listed_and_others_go_on(site, layout):
    site.attempt(task_of("x"), 1, "failed", error="Retryable")
    (layout.attempts / task_of("x") / "2.json").write_text("{}")
    site.observation(0)
    day = layout.observations / "2026-01-25"
    (day / "bad.json").write_text("no json")
    os.mkfifo(day / "pipe.json")
    record = json.loads((day / "2026-01-25T22:00:00.json").read_text())
    far = {"id": "far", "start": "0001-01-01T00:00:00", "end": "0001-01-01T00:05:00"}
    (day / "far.json").write_text(json.dumps(record | far))
    (day / "copy.json").write_text(json.dumps(record))
    for place in (layout.groups / "h.json", layout.manifests / "2026-01-25" / f"{task_of('y')}.json"):
        place.parent.mkdir(parents=True)
        place.write_text('{"group": 1}')
    (layout.quarantine / "d").mkdir(parents=True)
    (layout.quarantine / "d" / "f.json").write_text("[")
    with Keeper(layout) as keeper:
        names = {path.rpartition("/")[2] for path in keeper.report.damaged}
        assert names == {"bad.json", "pipe.json", "far.json", "copy.json", "h.json", f"{task_of('y')}.json", "f.json"}
        assert {row["path"] for row in keeper.queries.damaged()} == set(keeper.report.damaged)
        facts = everything(keeper)
        assert len(facts.observations) == len(facts.tries) == 1
    with Keeper(layout) as keeper:
        assert len(keeper.queries.damaged()) == 7


def test_a_run_of_another_task_is_refused(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        layout.run(home, task).rename(layout.run(home, task_of("other")))
        with pytest.raises(Damaged, match=f"is of task {task}; move"):
            keeper.register_run(task_of("other"), home)


def test_a_state_directory_that_cannot_be_written_is_named(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        layout.manifests.write_text("a file where a directory belongs")
        with pytest.raises(BadConfig, match=r"manifests/.*json cannot be written"):
            keeper.register_run(task, home)
        assert everything(keeper).runs == {}


def test_rules_reach_ingest_by_a_file_that_is_written_when_they_change(layout):
    rules = {"dsa110": FileSetRules(expect=8, min=4)}
    with Keeper(layout) as keeper:
        keeper.rules(rules)
        written = json.loads(layout.ingest_rules.read_text())
        assert FileSetRules.model_validate(written["dsa110"]) == rules["dsa110"]
        before = layout.ingest_rules.stat()
        keeper.rules(rules)
        assert layout.ingest_rules.stat().st_ino == before.st_ino
        keeper.rules({})
        assert json.loads(layout.ingest_rules.read_text()) == {}


def test_a_question_too_long_for_a_message_is_split_and_loses_nothing(monkeypatch):
    monkeypatch.setattr("contimg.keeper.facts.TASKS_AT_ONCE", 2)
    tasks = tuple(task_of(str(n)) for n in range(5))
    found = list(questions(Needs(group="g", tasks=tasks, ids=("a",))))
    assert [len(item.tasks) for item in found] == [2, 2, 1]
    assert tuple(task for item in found for task in item.tasks) == tasks
    assert [item.ids for item in found] == [("a",), (), ()]
