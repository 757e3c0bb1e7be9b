from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from nats_fixture import QUICK, eventually
from toy_stages import SPEC, toy_task

from contimg.errors import ResourceExhausted
from contimg.limits import MIB
from contimg.machine import MemoryGroup
from contimg.worker import watch as module
from contimg.worker.reply import read_reply
from contimg.worker.warm import ChildDied, WarmChild, completed
from contimg.worker.watch import Frozen, GroupMeter, Pulse, Watch


@pytest.fixture
async def child(layout):
    made = await WarmChild.start(SPEC, layout)
    yield made
    await made.end()


def workdir(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


async def test_one_process_serves_several_attempts_each_with_its_own_log(child, tmp_path):
    for name in ("a", "b"):
        path = workdir(tmp_path, name)
        read_reply(await child.converse(toy_task(), path, lambda *_: None))
        assert (path / "log.txt").read_text().startswith(f"toy write in {path}")
    assert child.attempts == 2


async def test_it_is_worn_by_attempts_by_growth_and_by_death(child, tmp_path):
    assert not child.is_worn(QUICK)
    await child.converse(toy_task(), workdir(tmp_path, "a"), lambda *_: None)
    assert not child.is_worn(QUICK)
    assert child.is_worn(replace(QUICK, child_attempts=1))
    assert child.is_worn(replace(QUICK, child_growth_bytes=-MIB * 100))
    psutil.Process(child.pid).kill()
    await eventually(lambda: child.is_worn(QUICK))


async def test_a_number_that_is_the_childs_no_more_is_not_killed(child, monkeypatch):
    """An idle child that died may be reaped with the orphans (contimg.process); its number is then free."""
    killed: list[int] = []
    psutil.Process(child.pid).kill()
    await asyncio.to_thread(os.waitpid, child.pid, 0)
    monkeypatch.setattr(os, "killpg", lambda group, _signal: killed.append(group))
    await child.end()
    assert killed == []


async def test_it_leads_its_own_group_and_keeps_its_requests_from_programs(child, tmp_path):
    note = tmp_path / "pid"
    task = toy_task("fork", path=str(note))
    talking = asyncio.create_task(child.converse(task, workdir(tmp_path, "a"), lambda *_: None))
    program = int(await eventually(lambda: note.exists() and note.read_text()))
    assert os.getpgid(program) == os.getpgid(child.pid) == child.pid != os.getpgid(0)
    assert Path(f"/proc/{program}/fd/0").readlink() == Path("/dev/null")  # noqa: ASYNC240 - proc
    opened = {str(path.readlink()) for path in Path(f"/proc/{program}/fd").iterdir()}  # noqa: ASYNC240 - proc
    assert not any(name.startswith("pipe:") for name in opened)  # neither our requests nor our replies
    meter = GroupMeter(child.pid)
    together = meter.sample()
    assert together > psutil.Process(child.pid).memory_info().rss
    await child.end()
    with pytest.raises(Exception, match="SIGKILL"):
        await talking
    await eventually(lambda: not psutil.pid_exists(program) or psutil.Process(program).status() == "zombie")


async def test_ending_twice_is_harmless(child):
    assert await child.end() == -9
    assert await child.end() == -9


async def test_a_child_that_does_not_end_is_left_to_the_kernel(child, monkeypatch):
    """One that hangs at a disk cannot be ended; its worker goes on."""
    reap = child._process.wait

    def wait(timeout):
        raise subprocess.TimeoutExpired("child", timeout)

    monkeypatch.setattr(child._process, "wait", wait)
    assert await child.end() == -signal.SIGKILL
    reap()


async def test_a_watch_measures_what_an_attempt_cost(child, tmp_path):
    watch = Watch(child, toy_task("slow"), QUICK, Pulse(QUICK))
    said = []
    read_reply(await watch.run(workdir(tmp_path, "a"), lambda *what: said.append(what)))
    usage = watch.usage()
    assert usage.wall_s > 0.2
    assert usage.cpu_s >= 0.2
    assert usage.peak_bytes > 10 * MIB
    assert said[-1] == (2, 2, "files")


async def test_a_frozen_watch_ends_the_child(child, tmp_path):
    now = iter([0.0, *([1000.0] * 100)])
    watch = Watch(child, toy_task("hang", path=str(tmp_path / "pid")), QUICK, Pulse(QUICK, lambda: next(now)))
    with pytest.raises(Frozen):
        await watch.run(workdir(tmp_path, "a"), lambda *_: None)
    assert not psutil.pid_exists(child.pid)


def charged(directory: Path, used: int) -> MemoryGroup:
    """A control group of 1000 bytes with so many of them used."""
    for name, text in (("memory.max", "1000"), ("memory.current", str(used)), ("memory.stat", "inactive_file 0\n")):
        (directory / name).write_text(text)
    return MemoryGroup(directory, 1000)


async def test_a_control_group_that_is_nearly_full_ends_the_child_however_small_it_is(child, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "memory_group", lambda: charged(tmp_path, 921))
    watch = Watch(child, toy_task("hang", path=str(tmp_path / "pid")), QUICK, Pulse(QUICK))
    with pytest.raises(ResourceExhausted, match="shares its control group these are 921 bytes, the limit"):
        await watch.run(workdir(tmp_path, "a"), lambda *_: None)
    assert not psutil.pid_exists(child.pid)


async def test_a_control_group_with_room_ends_nobody(child, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "memory_group", lambda: charged(tmp_path, 920))
    read_reply(await Watch(child, toy_task("slow"), QUICK, Pulse(QUICK)).run(workdir(tmp_path, "a"), print))


async def test_the_smaller_of_two_children_goes_on(child, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "memory_group", lambda: charged(tmp_path, 921))
    monkeypatch.setattr(WarmChild, "living", {child.pid, os.getpid()})  # we are the larger one: we hold this child too
    answer = await Watch(child, toy_task("slow"), QUICK, Pulse(QUICK)).run(workdir(tmp_path, "a"), print)
    assert read_reply(answer).result.products


async def test_a_child_that_stands_still_does_not_stop_us(child, tmp_path):
    """A task of thousands of members does not fit into a pipe that nobody reads."""
    await child.converse(toy_task(), workdir(tmp_path, "a"), lambda *_: None)
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await child.converse(toy_task(text="x" * MIB), workdir(tmp_path, "b"), lambda *_: None)


async def test_what_a_child_holds_is_that_of_its_programs_too(child):
    alone = psutil.Process().memory_info().rss
    assert module._resident(os.getpid()) > alone + psutil.Process(child.pid).memory_info().rss / 2


@pytest.mark.parametrize(("kernel", "error"), [(1, ResourceExhausted), (0, ChildDied)])
async def test_a_killed_child_ran_out_of_memory_when_the_kernel_counted_it(child, tmp_path, monkeypatch, kernel, error):
    counts = iter([5, 5 + kernel])
    monkeypatch.setattr(module, "kills", lambda _group: next(counts))
    watch = Watch(child, toy_task("killed", path=str(tmp_path / "flag")), QUICK, Pulse(QUICK))
    with pytest.raises(error) as caught:
        await watch.run(workdir(tmp_path, "a"), lambda *_: None)
    assert kernel == 0 or "was ended by the kernel for want of memory" in str(caught.value)


async def test_completed_obeys_a_cancellation_only_at_the_end():
    begun, go, done = asyncio.Event(), asyncio.Event(), []

    async def step() -> int:
        begun.set()
        await go.wait()
        done.append(True)
        return 7

    waiting = asyncio.create_task(completed(step()))
    await begun.wait()
    for _ in range(2):
        waiting.cancel()
        await asyncio.sleep(0)
    assert not waiting.done()
    go.set()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert done == [True]
    assert await completed(step()) == 7
