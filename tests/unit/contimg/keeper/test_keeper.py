from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta

import pytest
from keeper_site import T0, task_of

from contimg.errors import Damaged, ResourceExhausted, Unavailable
from contimg.keeper import Keeper
from contimg.models.fact import IngestFact, UnsealedFact


def fill(site, keeper):
    """A group of two observations from raw files to a published mosaic."""
    for minutes in (0, 5):
        site.observation(minutes)
    keeper.refresh_ingest()
    raw = ("2026-01-25/2200_sb00.hdf5",)
    convert = site.commit("convert", "2026-01-25T22:00:00", raw=raw)
    solve = site.commit(
        "solve", "g", inputs=[convert], name="g_bpcal",
        info={"mode": "own", "calibrator": "3C48", "transit": T0.isoformat(), "dec_deg": 33.16},
    )  # fmt: skip
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
        facts = keeper.facts()
        assert set(facts.runs) == {task_of(f"{s} {u} a") for s, u in (
            ("convert", "2026-01-25T22:00:00"), ("solve", "g"), ("mosaic", "g"), ("publish", "g"))}  # fmt: skip
        assert facts.runs[convert[0]].home == "raw_ms"
        assert facts.runs[convert[0]].figures[0].name == "convert.rms"
        assert [o.id for o in facts.observations] == ["2026-01-25T22:00:00", "2026-01-25T22:05:00"]
        assert facts.tables[0].task == solve[0]
        assert facts.tables[0].calibrator == "3C48"
        assert facts.groups["g"].task == publish[0]
        assert facts.groups["g"].current
        assert facts.tries[convert[0]].last.number == 1
        assert not facts.tries[convert[0]].final


def test_facts_are_equal_after_all_databases_are_deleted(site, layout):
    with Keeper(layout) as keeper:
        fill(site, keeper)
        before, rows = keeper.facts(), keeper.queries.products()
    for path in layout.databases.values():
        path.unlink()
    with Keeper(layout) as keeper:
        assert set(keeper.index.rebuilt) == set(layout.databases)
        assert keeper.facts() == before
        assert keeper.queries.products() == rows


def test_registering_twice_changes_nothing(site, layout):
    with Keeper(layout) as keeper:
        convert, *_ = fill(site, keeper)
        before, rows = keeper.facts(), keeper.queries.runs()
        keeper.register_run(*convert)
        keeper.register_attempt(convert[0], 1)
        keeper.register_group(before.groups["g"])
        assert keeper.facts() == before
        assert keeper.queries.runs() == rows
        assert keeper.scan().read == 0


def test_a_filter_leaves_the_rest_out(site, layout):
    with Keeper(layout) as keeper:
        convert, *_ = fill(site, keeper)
        for minutes in (10, 15, 20):
            site.observation(minutes)
        keeper.refresh_ingest()
        facts = keeper.facts([convert[0]], [], start=T0 + timedelta(minutes=5), end=T0 + timedelta(minutes=15))
        assert set(facts.runs) == set(facts.tries) == {convert[0]}
        assert facts.groups == {}
        starts = [(o.start - T0) / timedelta(minutes=1) for o in facts.observations]
        assert starts == [5, 10, 15]  # the one at the end closes the selection


def test_facts_of_thousands_of_runs_take_milliseconds(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("convert", "u")
        keeper.register_run(task, home)
        one = keeper.facts().runs[task]
        many = {f"{n:032x}": one.model_copy(update={"task": f"{n:032x}"}) for n in range(5000)}
        keeper._memory.runs |= many
        begin = time.process_time()
        assert len(keeper.facts().runs) == 5001
        assert time.process_time() - begin < 0.05
        begin = time.process_time()
        for _ in range(10):
            keeper.facts([task], [])
        assert (time.process_time() - begin) / 10 < 0.005


def test_a_run_that_was_not_registered_is_no_fact_until_a_worker_adopts_it(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        report = keeper.scan()
        assert report.unregistered == [layout.run(home, task)]
        assert keeper.facts().runs == {}
        keeper.register_run(task, home)
        assert keeper.scan().unregistered == []
        assert keeper.facts().runs[task].present


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
        fact = keeper.facts().tries[task]
        assert (fact.failed, fact.lost, fact.final) == expected
        assert not fact.running


def test_only_the_highest_round_counts(site, layout):
    task = task_of("x")
    with Keeper(layout) as keeper:
        site.attempt(task, 1, "failed", error="BadInput")
        site.attempt(task, 2, "failed", error="Retryable", round_=1)
        keeper.scan()
        fact = keeper.facts().tries[task]
        assert (fact.round, fact.failed, fact.final, fact.last.number) == (1, 1, False, 2)


def test_running_means_a_held_and_fresh_lock(site, layout):
    task = task_of("x")
    site.attempt(task, 1, "running")
    with Keeper(layout) as keeper:
        layout.locks.mkdir(parents=True)
        with (layout.locks / task).open("w") as handle:
            assert not keeper.facts().tries[task].running
            fcntl.flock(handle, fcntl.LOCK_EX)
            assert keeper.facts().tries[task].running
            old = time.time() - keeper.limits.lock_fresh_s - 5
            os.utime(layout.locks / task, (old, old))
            assert not keeper.facts().tries[task].running


def test_an_attempt_that_began_is_seen_before_its_worker_says_anything(site, layout):
    task, home = task_of("mosaic g a"), "mosaic"
    with Keeper(layout) as keeper:
        assert keeper.facts().tries == {}
        site.attempt(task, 1, "running")
        (layout.active("mosaicking") / f"{task}-1").mkdir(parents=True)
        layout.locks.mkdir(parents=True)
        with (layout.locks / task).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            assert keeper.facts().tries[task].running
            (layout.active("mosaicking") / f"{task}-1").rmdir()
            assert keeper.facts([task]).tries[task].running  # committed, but not registered
        site.attempt(task, 1, "failed", error="Retryable", counted=False)
        fact = keeper.facts().tries[task]  # handed back, which nobody registers
        assert (fact.running, fact.failed, fact.last.state) == (False, 0, "failed")
        site.attempt(task, 2, "committed")
        site.commit("mosaic", "g", attempt=2)
        keeper.register_run(task, home)
        assert [row["state"] for row in keeper.queries.attempts()] == ["failed", "committed"]


def test_a_second_keeper_is_told_who_holds_the_lock(layout):
    with (
        Keeper(layout),
        pytest.raises(Unavailable, match=rf"keeper.lock is held by pid {os.getpid()} on .*end that run"),
    ):
        Keeper(layout)
    Keeper(layout).close()


def test_a_group_is_not_current_when_its_names_lead_to_another_run(site, layout):
    with Keeper(layout) as keeper:
        _, _, first, publish = fill(site, keeper)
        other = site.commit("mosaic", "g", version="b")
        other_publish = site.publish([other], version="b")
        for task, home in (other, other_publish):
            keeper.register_run(task, home)
        site.archive(other_publish[0])
        assert not keeper.facts().groups["g"].current
        keeper.register_group(site.group(other_publish[0], "d2"))
        assert keeper.facts().groups["g"].current
        status = {row["task"]: row["status"] for row in keeper.queries.products("mosaic")}
        assert status == {first[0]: "superseded", other[0]: "published"}
        site.archive(publish[0])
        assert not keeper.facts().groups["g"].current
        keeper.register_group(site.group(publish[0]))
        assert keeper.facts().groups["g"].current
        status = {row["task"]: row["status"] for row in keeper.queries.products("mosaic")}
        assert status == {first[0]: "published", other[0]: "superseded"}


def test_a_cleaned_up_staging_area_leaves_a_group_current(site, layout):
    with Keeper(layout) as keeper:
        fill(site, keeper)
        layout.stage_base.rename(layout.stage_base.with_name("gone"))
        report = keeper.scan()
        facts = keeper.facts()
        assert len(report.vanished) == 4
        assert not any(run.present for run in facts.runs.values())
        assert not facts.tables[0].present
        assert facts.groups["g"].current
        assert keeper.scan().vanished == []


def test_a_run_made_again_counts_when_it_is_registered(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        keeper.register_run(task, home)
        layout.run(home, task).rename(layout.run(home, "elsewhere").parent.parent / "elsewhere")
        keeper.scan()
        assert not keeper.facts().runs[task].present
        site.commit("mosaic", "g", attempt=2)
        keeper.scan()
        assert not keeper.facts().runs[task].present
        keeper.register_run(task, home)
        keeper.scan()
        assert keeper.facts().runs[task].present
        assert keeper.queries.run(task).attempt == 2


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda run: (run / "g.fits").unlink(), r"g\.fits is missing although manifest.json .* move .* away"),
        (lambda run: (run / "g.fits").write_text("x"), r"g\.fits has 1 bytes, manifest.json of its run says 11"),
        (lambda run: (run / "manifest.json").write_text("{"), r"manifest.json is no Manifest: .* restore it"),
        (lambda run: (run / "manifest.json").unlink(), r"manifest.json cannot be read \(No such file"),
    ],
)
def test_a_damaged_run_is_listed_and_other_work_goes_on(site, layout, harm, sentence):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        fine = site.commit("convert", "u")
        keeper.register_run(task, home)
        keeper.register_run(*fine)
        harm(layout.run(home, task))
        for _ in range(2):
            keeper.scan()
            facts = keeper.facts()
            assert not facts.runs[task].present
            assert facts.runs[fine[0]].present
        found = keeper.queries.damaged()
        assert len(found) == 1
        with pytest.raises(Damaged, match=sentence):
            raise Damaged(found[0]["sentence"])
        with pytest.raises(Damaged, match=sentence):
            keeper.register_run(task, home)


def test_damaged_records_are_listed(site, layout):
    site.attempt(task_of("x"), 1, "failed", error="Retryable")
    (layout.attempts / task_of("x") / "2.json").write_text("{}")
    site.observation(0)
    (layout.observations / "2026-01-25" / "bad.json").write_text("no json")
    layout.groups.mkdir(parents=True)
    (layout.groups / "h.json").write_text('{"group": 1}')
    layout.manifests.mkdir(parents=True)
    (layout.manifests / f"{task_of('y')}.json").write_text("")
    (layout.quarantine / "d").mkdir(parents=True)
    (layout.quarantine / "d" / "f.json").write_text("[")
    with Keeper(layout) as keeper:
        assert sorted(path.rpartition("/")[2] for path in keeper.report.damaged) == sorted(
            ["2.json", "bad.json", "h.json", f"{task_of('y')}.json", "f.json"]
        )
        facts = keeper.facts()
        assert len(facts.observations) == len(facts.tries) == 1


def test_a_run_of_another_task_is_refused(site, layout):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        layout.run(home, task).rename(layout.run(home, task_of("other")))
        with pytest.raises(Damaged, match=f"is of task {task}; move"):
            keeper.register_run(task_of("other"), home)


def test_a_state_directory_that_cannot_be_written_is_named(site, layout, monkeypatch):
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        layout.manifests.write_text("a file where a directory belongs")
        with pytest.raises(ResourceExhausted, match=r"manifests/.*json \(\d+ bytes\) cannot be written"):
            keeper.register_run(task, home)
        assert keeper.facts().runs == {}


def test_ingest_tells_where_it_stands(site, layout):
    with Keeper(layout) as keeper:
        unsealed = (UnsealedFact(start=T0, sentence="waits for sb07"),)
        keeper.refresh_ingest(IngestFact(scanned=T0, unsealed=unsealed))
        record = site.observation(0)
        keeper.register_observation(record)
        facts = keeper.facts()
        assert facts.ingest.unsealed == unsealed
        assert facts.observations == (record,)
        (layout.observations / "2026-01-25" / f"{record.id}.json").unlink()
        keeper.refresh_ingest()
        assert keeper.facts().observations == ()


def test_reference_data_are_known_by_checksum(layout):
    layout.catalogs.mkdir(parents=True)
    layout.flags.mkdir(parents=True)
    catalog, flags = layout.catalogs / "nvss.fits", layout.flags / "2026-01-25.txt"
    catalog.write_text("abc")
    flags.write_text("")
    with Keeper(layout) as keeper:
        first = keeper.facts().reference
        assert first == {
            "catalog:nvss.fits": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "flags:2026-01-25": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        }
        catalog.write_text("abcd")
        assert keeper.facts().reference["catalog:nvss.fits"] != first["catalog:nvss.fits"]
