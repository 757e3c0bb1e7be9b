"""Several workers on one task, stepped from one named point to the next in any order, killed or left frozen anywhere.

The workers are the real :class:`Handling` on a real directory; only the child and the messages are puppets, so that
hypothesis can search the interleavings. Real children, kills and servers are in ``tests/faults``.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import shutil
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import profiles
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from nats_fixture import QUICK
from toy_stages import SPEC, layout_in, toy_task

from contimg import crash
from contimg.models.quality import judge
from contimg.volume import attempt as attempt_module
from contimg.volume.attempt import Attempt, TaskLock, is_abandoned, read_records
from contimg.volume.commit import read_run
from contimg.worker import handling
from contimg.worker.admission import Admission
from contimg.worker.handling import Handling, Slot
from contimg.worker.warm import ChildDied

ME: contextvars.ContextVar[Puppet] = contextvars.ContextVar("me")
MEMORY = Path("/dev/shm")  # noqa: S108 - fsync costs nothing there
OUTCOMES = ("good", "good", "Retryable", "DataQuality", "killed", "segfault")


class Died(BaseException):
    """The process ends here."""


class Message:
    subject, readable = "contimg.task.main.toy.x", True

    def __init__(self, task):
        self._task, self.ended = task, ""

    def parse(self):
        return self._task

    async def in_progress(self):
        pass

    async def ack(self, _timeout_s=0.0):
        self.ended = "ack"

    async def nak(self, _delay_s=0.0):
        self.ended = "nak"

    async def term(self):
        self.ended = "term"

    async def withdrawn(self):
        return False


class Bus:
    async def event(self, *_):
        pass

    async def dead(self, *_):
        pass


class Child:
    pid = os.getpid()

    def __init__(self, outcome):
        self._outcome = outcome

    async def converse(self, task, workdir, _progress):
        (workdir / "x").write_text(workdir.name)
        crash.point("puppet.working")
        if self._outcome in {"killed", "segfault"}:
            raise ChildDied(-9 if self._outcome == "killed" else -11)
        if self._outcome != "good":
            return {"error": self._outcome, "message": "as wished", "foreseen": True}
        product = {"type": "image", "id": "x", "path": "x", "names": [f"{task.date}/x"], "role": ""}
        figures = [judge("toy.x", 1.0).model_dump(mode="json")]
        result = {"products": [product], "figures": figures, "info": {}, "date": ""}
        return {"reply": {"result": result, "inputs": [], "raw": [], "software": {}}}

    async def end(self):
        return -9


class PuppetSlot(Slot):
    outcome = ""

    async def child(self):
        return Child(self.outcome)


class Puppet:
    """One worker process, as a thread that stands still at every point until told to go on."""

    def __init__(self, layout, task, outcome):
        self.layout, self.outcome, self.message = layout, outcome, Message(task)
        self.at, self.is_over, self._dying = "", False, False
        self._handles, self._attempts, self.registered = [], [], []
        self._go, self._stands = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._stands.acquire(timeout=20)

    def _run(self):
        ME.set(self)
        try:
            asyncio.run(self._handle())
        except Died:
            self._release()
        self.is_over = True
        self._stands.release()

    async def _handle(self):
        async def register(payload):
            self.registered.append(payload)

        slot = PuppetSlot(self.layout, Bus(), SPEC, QUICK, register, Admission(1, 0))
        slot.outcome = self.outcome
        await Handling(slot, self.message).run()

    def _release(self):
        """Do what the kernel does for a dead process."""
        for one in self._attempts:
            one.release()
        for handle, path in self._handles:
            with suppress(OSError):
                if str(Path(f"/proc/self/fd/{handle}").readlink()).startswith(str(path)):
                    os.close(handle)

    def stand(self, name):
        self.at = name
        self._stands.release()
        self._go.acquire()
        if self._dying:
            raise Died

    def step(self):
        self._go.release()
        assert self._stands.acquire(timeout=20), f"stuck after {self.at}"

    def kill(self):
        self._dying = True
        while not self.is_over:
            self.step()


@contextmanager
def puppets():
    """Let points, locks and attempts know their puppet."""
    patch = pytest.MonkeyPatch()
    flock, opened = attempt_module._flock, handling.open_attempt

    def known_flock(path: Path):
        handle = flock(path)
        if handle is not None and ME.get(None):
            ME.get()._handles.append((handle, path))
        return handle

    def known_open(*arguments) -> Attempt:
        made = opened(*arguments)
        ME.get()._attempts.append(made)
        return made

    patch.setattr(crash, "point", lambda name: ME.get().stand(name) if ME.get(None) else None)
    patch.setattr(attempt_module, "_flock", known_flock)
    patch.setattr(handling, "open_attempt", known_open)
    try:
        yield
    finally:
        patch.undo()


class Protocol(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.patched = puppets()
        self.patched.__enter__()
        self.root = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.layout = layout_in(self.root)
        self.task = toy_task()
        self.alive: list[Puppet] = []
        self.all: list[Puppet] = []
        self.first = None

    @initialize(first=st.sampled_from(OUTCOMES), steps=st.sampled_from((5, 9, 16, 22, 40)))
    def somebody_has_begun(self, first, steps):
        self.deliver(first)
        self.go_on(0, steps)

    @precondition(lambda self: len(self.alive) < 3)
    @rule(outcome=st.sampled_from(OUTCOMES))
    def deliver(self, outcome):
        puppet = Puppet(self.layout, self.task, outcome)
        self.alive.append(puppet)
        self.all.append(puppet)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 2), steps=st.sampled_from((1, 2, 3, 5, 8, 13, 20, 40)))
    def go_on(self, which, steps):
        puppet = self.alive[which % len(self.alive)]
        for _ in range(steps):
            if not puppet.is_over:
                puppet.step()
        self.bury()

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 2))
    def kill(self, which):
        self.alive[which % len(self.alive)].kill()
        self.bury()

    @precondition(lambda self: self.alive)
    @rule()
    def others_think_the_holder_is_frozen(self):
        path = self.layout.locks / self.task.task
        if path.exists():
            os.utime(path, (0, 0))

    def records(self):
        return read_records(self.layout, self.task.task)

    def bury(self):
        self.alive = [puppet for puppet in self.alive if not puppet.is_over]

    @invariant()
    def a_run_never_changes_nor_goes(self):
        run = read_run(self.layout, "image", self.task.task)
        if self.first is not None:
            assert run == self.first
        self.first = run
        if run is not None:
            assert (run.path / "x").read_text() == f"{self.task.task}-{run.manifest.attempt}"

    @invariant()
    def what_is_acked_has_a_run_a_name_and_is_registered(self):
        for puppet in self.all:
            if puppet.message.ended == "ack":
                assert (self.layout.home("image") / self.task.date / "x").exists()
                assert {"run"} <= {one["kind"] for one in puppet.registered}
            if puppet.message.ended == "term":
                records = [record for record in self.records() if record.counted and record.state == "failed"]
                final = [record.error in {"DataQuality", "Terminal"} for record in records]
                assert any(final) or len(records) >= self.task.limits.tries

    @invariant()
    def numbers_are_used_once_and_failures_counted_once(self):
        records = self.records()
        numbers = [record.number for record in records]
        assert numbers == sorted(set(numbers))
        failed = [puppet for puppet in self.all if puppet.outcome in {"Retryable", "DataQuality", "segfault"}]
        assert sum(r.state == "failed" and r.counted for r in records) <= len(failed)

    def teardown(self):
        try:
            self.ends_with_one_run()
        finally:
            for puppet in self.alive:
                puppet.kill()
            self.patched.__exit__(None, None, None)
            shutil.rmtree(self.root, ignore_errors=True)

    def ends_with_one_run(self):
        """Kill or finish what is there; a replay must then end with one run and nothing else."""
        for number, puppet in enumerate(self.alive):
            if number % 2:
                puppet.kill()
            while not puppet.is_over:
                puppet.step()
        self.bury()
        self.others_think_the_holder_is_frozen()
        last = Puppet(self.layout, self.task.model_copy(update={"round": 1}), "good")
        while not last.is_over:
            last.step()
        assert last.message.ended == "ack"
        run = read_run(self.layout, "image", self.task.task)
        assert [path.name for path in self.layout.runs("image").iterdir()] == [self.task.task]
        assert not run.path.stat().st_mode & 0o222
        name = self.layout.home("image") / self.task.date / "x"
        assert [path.name for path in name.parent.iterdir()] == ["x"]
        assert name.samefile(run.path / "x")
        left = list(self.layout.active("toying").iterdir())
        assert all(is_abandoned(path, 0, time.time()) for path in left), "what is left must be for the clean-up to take"
        assert not {path.name for path in left} & {f"{self.task.task}-{r.number}" for r in self.records()}
        states = {record.number: record.state for record in self.records()}
        assert states[run.manifest.attempt] == "committed"
        assert "running" not in states.values()
        assert TaskLock.take(self.layout, self.task.task).held


def test_any_interleaving_ends_with_one_run():
    profile = settings.get_profile(profiles.NAME)
    chosen = settings(
        profile, max_examples=min(profile.max_examples // 2, 2000), suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Protocol, settings=chosen)
