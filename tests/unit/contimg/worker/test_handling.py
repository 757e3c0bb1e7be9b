from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from metered import value
from nats_fixture import QUICK, eventually
from toy_stages import SPEC, toy_task

from contimg.bus import TaskMessage
from contimg.errors import Damaged, ResourceExhausted, Unavailable
from contimg.limits import MIB
from contimg.models.task import Task
from contimg.volume import disk
from contimg.volume.attempt import TaskLock, find_directories, open_attempt, read_records
from contimg.volume.commit import read_run
from contimg.volume.failure import close_failed
from contimg.worker.admission import Admission
from contimg.worker.warm import WarmChild
from contimg.worker.worker import Worker


def outcomes(bench, task: Task) -> list[tuple[str, str, bool]]:
    return [(r.state.value, r.error, r.counted) for r in read_records(bench.layout, task.task)]


async def done(bench, task: Task, kind: str, **options) -> None:
    """Run a worker until an event of this kind has come and the queue is empty."""
    async with bench.working(**options):
        await bench.bus.ask(task)
        await bench.heard(kind)
        await bench.drained()


async def redelivered(bench) -> None:
    """Wait until the message was handed back and delivered again."""
    async with asyncio.timeout(10):
        while (await bench.bus._jetstream.consumer_info("CONTIMG_TASKS", "main-toy")).num_redelivered == 0:  # noqa: ASYNC110 - the server decides
            await asyncio.sleep(0.01)


def is_closed(bench, task: Task) -> bool:
    return any(state != "running" for state, _, _ in outcomes(bench, task))


async def test_a_retryable_failure_is_tried_again(bench, tmp_path):
    task = toy_task("once", path=str(tmp_path / "flag"))
    await done(bench, task, "committed")
    assert outcomes(bench, task) == [("failed", "Retryable", True), ("committed", "", True)]
    assert [(p["kind"], p["number"]) for p in bench.registered] == [("attempt", 1), ("run", 2)]
    assert read_run(bench.layout, "image", task.task).manifest.attempt == 2


async def test_tries_end_and_leave_log_kept_files_and_a_dead_copy(bench):
    task = toy_task("retryable", tries=2)
    dead = await bench.bus._client.subscribe(f"contimg.dead.main.toy.{task.task}")
    await done(bench, task, "failed")
    assert outcomes(bench, task) == [("failed", "Retryable", True)] * 2
    copy = await dead.next_msg(timeout=5)
    assert Task.model_validate_json(copy.data) == task
    assert copy.headers["Contimg-Error"] == "Retryable: the toy wants another try"
    failed = bench.layout.failed / task.date
    log = (failed / f"{task.task}-2_error.log").read_text()
    assert log.startswith("Retryable: the toy wants another try")
    assert "toy retryable in" in log
    assert "Traceback" in log
    assert (failed / f"{task.task}-2" / "clue.json").read_text() == "{}"
    assert [event.data["final"] for event in bench.of("failed")] == [False, True]
    assert not list(bench.layout.active("toying").iterdir())


async def test_another_round_has_new_tries(bench, tmp_path):
    task = toy_task("once", tries=1, path=str(tmp_path / "flag"))
    await done(bench, task, "failed")
    await done(bench, task.model_copy(update={"round": 1}), "committed")
    assert [r.round for r in read_records(bench.layout, task.task)] == [0, 1]


async def test_a_message_of_an_older_round_counts_in_the_highest(bench):
    task = toy_task("retryable", tries=1, round_=3)
    await done(bench, task, "failed")
    bench.events.clear()
    await done(bench, task.model_copy(update={"round": 0}), "failed")
    assert len(outcomes(bench, task)) == 1  # given up again without another attempt


@pytest.mark.parametrize(
    ("how", "errors", "words"),
    [
        ("quality", ["DataQuality"], "not good enough"),
        ("bug", ["Retryable", "Terminal"], "ValueError: a bug in the toy"),
        ("segfault", ["Retryable", "Terminal"], "SIGSEGV"),
        ("abort", ["Retryable", "Terminal"], "SIGABRT"),
        ("exit", ["Retryable", "Terminal"], "exit code 7"),
        ("untold", ["Retryable", "Terminal"], "is not JSON serializable"),
        ("talkative", ["Terminal"], "the info of stage toy has 70"),
        ("figure", ["Retryable", "Terminal"], "validation error"),
    ],
)
async def test_what_ends_a_stage_decides_about_the_next_try(bench, how, errors, words):
    task = toy_task(how)
    async with bench.working():
        await bench.bus.ask(task)
        await bench.heard("failed", len(errors))
        await bench.drained()
    assert [error for _, error, _ in outcomes(bench, task)] == errors
    assert words in read_records(bench.layout, task.task)[-1].message


async def test_a_full_disk_is_named_as_such(bench):
    task = toy_task("fill", tries=1)
    await done(bench, task, "failed")
    (record,) = read_records(bench.layout, task.task)
    assert record.error == "ResourceExhausted"
    assert "bytes are free" in record.message


async def test_a_product_that_was_announced_but_not_written_is_terminal(bench):
    task = toy_task("lie")
    await done(bench, task, "failed")
    assert read_run(bench.layout, "image", task.task) is None
    assert not list(bench.layout.active("toying").iterdir())


async def test_a_killed_child_is_lost_and_uses_no_try(bench, tmp_path):
    task = toy_task("killed", tries=1, path=str(tmp_path / "flag"))
    await done(bench, task, "committed")
    assert outcomes(bench, task) == [("failed", "WorkerLost", False), ("committed", "", True)]


async def test_workers_may_not_be_lost_for_ever(bench):
    task = toy_task("killed", path="/dev/null/never")  # the flag cannot be made: NotADirectoryError
    assert task.limits.tries == 3
    limits = replace(QUICK, lost_cap=2)
    for _ in range(2):
        open_attempt(bench.layout, "toying", task, 0).release()  # two workers that died at once
    before = value("contimg_tasks_total", stage="toy", outcome="lost") or 0.0
    await done(bench, task, "failed", limits=limits)
    assert outcomes(bench, task) == [("failed", "WorkerLost", False)] * 2
    assert value("contimg_tasks_total", stage="toy", outcome="lost") == before + 2
    assert not find_directories(bench.layout, task.task)


async def test_too_much_memory_ends_the_child_with_bytes(bench, monkeypatch):
    monkeypatch.setenv("CONTIMG_MEMORY_BYTES", str(250 * MIB))
    task = toy_task("allocate", tries=1)
    await done(bench, task, "failed")
    (record,) = read_records(bench.layout, task.task)
    assert record.error == "ResourceExhausted"
    assert f"the limit is {int(0.92 * 250 * MIB)} bytes" in record.message
    assert record.usage.peak_bytes < 600 * MIB


async def test_a_stalled_child_is_killed_even_if_it_ignores_sigterm(bench, tmp_path):
    task = toy_task("stubborn", tries=1, path=str(tmp_path / "pid"))
    await done(bench, task, "failed", limits=replace(QUICK, stall_after_s=1.0))
    (record,) = read_records(bench.layout, task.task)
    assert (record.error, "no progress" in record.message) == ("Retryable", True)
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


async def test_growing_cpu_time_is_progress_and_the_time_limit_ends_it(bench):
    task = toy_task("spin", tries=1, time_s=2.5)
    await done(bench, task, "failed", limits=replace(QUICK, stall_after_s=1.0))
    (record,) = read_records(bench.layout, task.task)
    assert "longer than its limit of 2.5 s" in record.message


async def test_programs_of_a_stage_end_with_it(bench, tmp_path):
    task = toy_task("fork", tries=1, path=str(tmp_path / "pid"))
    await done(bench, task, "failed", limits=replace(QUICK, stall_after_s=1.0))
    pid = int((tmp_path / "pid").read_text())
    await eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


async def test_a_cancelled_worker_hands_back_without_counting(bench, tmp_path):
    note = tmp_path / "pid"
    task = toy_task("hang", path=str(note))
    async with bench.working():
        await bench.bus.ask(task)
        pid = int(await eventually(lambda: note.exists() and note.read_text()))
    assert not psutil.pid_exists(pid)
    assert outcomes(bench, task) == [("failed", "Retryable", False)]
    message = await bench.bus.fetch("toy")  # at once, not after ack_wait
    assert message._message.metadata.num_delivered == 2
    await message.term()


async def test_a_stopped_worker_finishes_first(bench, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    task = toy_task("gate", path=str(gate))
    async with bench.working() as worker:
        await bench.bus.ask(task)
        await eventually(Path(f"{gate}.here").exists)
        worker.stop()
        await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed")
        await bench.drained()


async def test_a_busy_fresh_lock_hands_back_and_an_old_one_is_passed_by(bench):
    task = toy_task()
    lock = TaskLock.take(bench.layout, task.task)
    async with bench.working():
        await bench.bus.ask(task)
        await redelivered(bench)
        assert outcomes(bench, task) == []
        os.utime(lock.path, (0, 0))  # the holder was frozen long ago
        await bench.heard("committed")
        await bench.drained()
    lock.release()
    assert outcomes(bench, task) == [("committed", "", True)]


async def test_a_run_that_exists_is_adopted_and_its_names_come_back(bench):
    task = toy_task()
    await done(bench, task, "committed")
    name = bench.layout.home("image") / task.date / f"{task.unit}.txt"
    name.unlink()
    name.symlink_to("elsewhere")
    bench.events.clear()
    await done(bench, task, "committed")
    assert name.read_text() == "hello"
    assert outcomes(bench, task) == [("committed", "", True)]
    assert not bench.of("started")


async def test_other_recipe_versions_and_schemas_are_handed_back(bench):
    newer = toy_task().model_copy(update={"recipe_version": 2})
    async with bench.working():
        await bench.bus.ask(newer)
        raw = json.loads(toy_task(text="b").model_dump_json()) | {"schema_version": 7, "colour": "red"}
        await bench.bus._jetstream.publish("contimg.task.main.toy.abc", json.dumps(raw).encode())
        await bench.bus._jetstream.publish("contimg.task.main.toy.def", b"rubbish")
        await bench.bus.ask(toy_task(text="c"))
        await bench.heard("committed")
    info = await bench.bus._jetstream.stream_info("CONTIMG_TASKS")
    assert info.state.messages == 2  # the newer ones wait for a newer worker, rubbish is gone


async def test_inputs_that_the_keeper_does_not_have_are_waited_for_with_a_reason(bench):
    task = toy_task().model_copy(update={"inputs_digest": "0" * 64})
    async with bench.working():
        await bench.bus.ask(task)
        (waiting, *_) = await bench.heard("progress")
    assert "the keeper does not give the inputs of this task: " in waiting.data["what"]
    assert json.loads(bench.layout.wait(task.task).read_bytes())["sentence"] == waiting.data["what"]


async def test_no_start_without_space(bench):
    task = toy_task()
    floor = 2**60
    async with bench.working(limits=replace(QUICK, space_floor_bytes=floor)):
        await bench.bus.ask(task)
        await redelivered(bench)
        (waiting, *_) = await bench.heard("progress")
    assert outcomes(bench, task) == []
    assert "WaitingForSpace: " in waiting.data["what"]
    assert "bytes are missing in" in waiting.data["what"]
    assert json.loads(bench.layout.wait(task.task).read_bytes())["sentence"].startswith("WaitingForSpace: ")
    await done(bench, task, "committed")
    assert not bench.layout.wait(task.task).exists()


async def test_a_failure_that_cannot_be_written_down_is_found_by_the_next_worker(bench, tmp_path, monkeypatch):
    """The attempt's own lock must not stay held by us, or nobody would ever close its record."""
    full = iter([True])

    def close(*arguments):
        if next(full, False):
            raise ResourceExhausted("the state disk is full, 0 bytes are free")
        return close_failed(*arguments)

    monkeypatch.setattr("contimg.worker.handling.close_failed", close)
    task = toy_task("once", path=str(tmp_path / "flag"))
    await done(bench, task, "committed")
    lost, full_disk, committed = read_records(bench.layout, task.task)
    assert (lost.error, full_disk.error, committed.state) == ("WorkerLost", "ResourceExhausted", "committed")
    assert full_disk.message == "the state disk is full, 0 bytes are free"


async def test_a_silent_keeper_is_told_until_it_understands(bench):
    told: list[dict] = []

    async def register(payload):
        told.append(payload)
        if len(told) < 3:
            raise Unavailable("silent")

    await done(bench, toy_task(), "committed", register=register)
    assert len(told) == 3


async def test_a_worker_that_ends_does_not_wait_for_a_silent_keeper(bench):
    """A drained node takes the keeper away first; the run is adopted by whoever gets the message next."""
    told = asyncio.Event()

    async def register(_payload):
        told.set()
        raise Unavailable("silent")

    task = toy_task()
    worker = Worker(bench.layout, bench.bus, SPEC, bench.limits, register)
    running = asyncio.create_task(worker.run())
    await bench.bus.ask(task)
    await told.wait()
    worker.stop()
    async with asyncio.timeout(10):
        await running
    await done(bench, task, "committed")
    assert outcomes(bench, task) == [("committed", "", True)]


async def test_an_effect_whose_outside_is_away_waits_with_a_reason_and_uses_no_try(bench, monkeypatch):
    calls = []
    monkeypatch.setattr("toy_stages.EFFECTS", calls)
    task = toy_task()
    await done(bench, task, "committed", spec=SPEC.model_copy(update={"effect": "toy_stages:effect"}))
    assert calls == [(task.task, False), (task.task, False)], "not on the main thread"
    assert bench.registered[-1] == {"kind": "group", "record": {"group": "g1"}}
    assert outcomes(bench, task) == [("committed", "", True)]
    said = json.loads(bench.layout.wait(task.task).read_text())["sentence"]
    assert said == "the run is committed; what follows it waits: the object store is away"


async def test_an_effect_with_a_bug_ends_the_task_and_not_the_worker(bench, monkeypatch):
    def broken(*_):
        raise KeyError("plan")

    monkeypatch.setattr("toy_stages.effect", broken)
    task = toy_task()
    async with bench.working(spec=SPEC.model_copy(update={"effect": "toy_stages:effect"})):
        await bench.bus.ask(task)
        await bench.heard("failed", 2)
        await bench.drained()
    assert [error for _, error, _ in outcomes(bench, task)] == ["", "Retryable", "Terminal"]
    assert "toy_stages:effect raised KeyError: 'plan'" in read_records(bench.layout, task.task)[-1].message


async def test_a_damaged_observation_record_fails_the_task_and_not_the_worker(bench):
    task = toy_task(tries=1).model_copy(update={"observation": "2026-01-25T22:00:13"})
    path = bench.layout.observations / "2026-01-25" / "2026-01-25T22:00:13.json"
    path.parent.mkdir(parents=True)
    path.write_text("{garbage")
    await done(bench, task, "failed")
    (record,) = read_records(bench.layout, task.task)
    assert (record.error, record.message) == (
        "Retryable", f"the record {path} cannot be read; remove it, ingest writes it anew"
    )  # fmt: skip


async def test_a_lock_file_that_somebody_removed_stops_no_heartbeat(bench, tmp_path, monkeypatch):
    gate, beats, real = tmp_path / "gate", [], TaskMessage.in_progress
    os.mkfifo(gate)

    async def counted(message):
        beats.append(message.subject)
        await real(message)

    monkeypatch.setattr(TaskMessage, "in_progress", counted)
    task = toy_task("gate", path=str(gate))
    async with bench.working():
        await bench.bus.ask(task)
        await eventually(Path(f"{gate}.here").exists)
        (bench.layout.locks / task.task).unlink()
        before = len(beats)
        await eventually(lambda: len(beats) >= before + 3)
        await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed")


async def test_a_damaged_run_is_moved_aside_and_done_again(bench):
    task = toy_task()
    run = bench.layout.run("image", task.task)
    run.mkdir(parents=True)
    (run / "manifest.json").write_text("{garbage")
    await done(bench, task, "committed")
    assert outcomes(bench, task) == [("committed", "", True)]
    assert (run.with_name(f"{task.task}.damaged-1") / "manifest.json").read_text() == "{garbage"
    assert read_run(bench.layout, "image", task.task) is not None


async def test_a_damaged_input_is_moved_aside_and_asked_for_again(bench):
    first = toy_task()
    await done(bench, first, "committed")
    run = bench.layout.run("image", first.task)
    (run / "toy.txt").chmod(0o644)
    (run / "toy.txt").write_text("cut")
    second = toy_task(text="second", tries=1).model_copy(update={"inputs": {"image": (first.task,)}})
    await done(bench, second, "failed")
    (record,) = read_records(bench.layout, second.task)
    assert (record.error, "the engine asks for it again" in record.message) == ("Retryable", True)
    assert not run.exists(), "so that the keeper reports it as not present"
    await done(bench, first, "committed")
    await done(bench, second.model_copy(update={"round": 1}), "committed")


async def test_what_was_withdrawn_while_it_waited_for_a_slot_is_not_begun(bench, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    admission, waiting = Admission(1, 0), toy_task(text="nobody wants it")
    async with bench.working(slots=2, admission=admission):
        await bench.bus.ask(toy_task("gate", path=str(gate)))
        await eventually(Path(f"{gate}.here").exists)
        await bench.bus.ask(waiting)
        async with asyncio.timeout(10):
            while (await bench.bus._jetstream.consumer_info("CONTIMG_TASKS", "main-toy")).num_ack_pending < 2:  # noqa: ASYNC110 - the server decides
                await asyncio.sleep(0.01)
        await bench.bus.withdraw("toy", waiting.task)
        await asyncio.to_thread(gate.write_bytes, b"go")
        await bench.heard("committed")
        await bench.drained()
    assert outcomes(bench, waiting) == []


async def test_a_disk_that_takes_nothing_is_a_wait_with_a_reason(bench):
    bench.layout.active("").parent.parent.mkdir(parents=True, exist_ok=True)
    bench.layout.active("").parent.write_text("a file in the way of workspace")
    async with bench.working():
        await bench.bus.ask(toy_task())
        (waiting, *_) = await bench.heard("progress")
    assert "the worker of stage toy cannot use its disk" in waiting.data["what"]
    assert outcomes(bench, toy_task()) == []


async def test_a_run_that_the_keeper_refuses_is_a_failure_that_says_why(bench):
    async def register(payload):
        if payload["kind"] == "run":
            raise Damaged("toy.txt has another checksum")

    task = toy_task()
    await done(bench, task, "failed", register=register)
    assert [error for _, error, _ in outcomes(bench, task)] == ["", "Damaged"]
    assert not bench.of("committed")


async def test_a_run_that_was_cleaned_up_before_the_keeper_heard_of_it_is_made_again(bench):
    task, gone = toy_task(), []

    async def register(payload):
        if payload["kind"] == "run" and not gone:
            run = bench.layout.run(task.home, task.task)
            disk.remove(run)
            gone.append(run)
            raise Damaged(f"{run} is missing")

    await done(bench, task, "committed", register=register)
    assert [error for _, error, _ in outcomes(bench, task)] == ["", ""]
    assert any("is gone, it is made again" in event.data["what"] for event in bench.of("progress"))


async def test_a_keeper_that_refuses_an_attempt_is_no_obstacle(bench, tmp_path):
    async def register(payload):
        if payload["kind"] == "attempt":
            raise Damaged("the record cannot be read")

    await done(bench, toy_task("once", path=str(tmp_path / "flag")), "committed", register=register)


async def test_a_child_serves_many_attempts_and_is_replaced(bench, monkeypatch):
    limits = replace(QUICK, child_attempts=2)
    started = []
    start = WarmChild.start.__func__

    async def counted(cls, *arguments):
        started.append(arguments)
        return await start(cls, *arguments)

    monkeypatch.setattr(WarmChild, "start", classmethod(counted))
    async with bench.working(limits=limits):
        for number in range(4):
            await bench.bus.ask(toy_task(text=str(number)))
        await bench.heard("committed", 4)
        await bench.drained()
    assert len(started) == 2


async def test_a_frozen_worker_discards_and_neither_acks_nor_hands_back(bench, tmp_path, monkeypatch):
    note, now = tmp_path / "pid", [0.0]
    monkeypatch.setattr("contimg.worker.watch.Pulse.__init__.__defaults__", (lambda: now[0],))
    task = toy_task("hang", path=str(note))
    async with bench.working():
        await bench.bus.ask(task)
        pid = int(await eventually(lambda: note.exists() and note.read_text()))
        now[0] = 91.0
        await eventually(lambda: outcomes(bench, task) == [("failed", "Retryable", False)])
        assert not psutil.pid_exists(pid)
        info = await bench.bus._jetstream.consumer_info("CONTIMG_TASKS", "main-toy")
        assert info.num_ack_pending == 1


async def test_sigstop_of_the_parent_is_noticed_in_real_time(bench, tmp_path):
    note = tmp_path / "pid"
    task = toy_task("hang", path=str(note))
    stopper = f"kill -STOP {os.getpid()}; sleep 0.6; kill -CONT {os.getpid()}"
    async with bench.working(limits=replace(QUICK, frozen_after_s=0.5)):
        await bench.bus.ask(task)
        await eventually(lambda: note.exists() and note.read_text())
        program = await asyncio.create_subprocess_exec("sh", "-c", stopper)
        await program.wait()
        await eventually(lambda: is_closed(bench, task))
    assert outcomes(bench, task)[0] == ("failed", "Retryable", False)
    assert "frozen" in read_records(bench.layout, task.task)[0].message
