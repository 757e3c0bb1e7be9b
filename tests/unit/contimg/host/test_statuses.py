"""When a status is written: a flip at once, anything else at most every ten seconds, nothing twice; in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest
from engine_world import START, group_of
from virtual_time import VirtualLoop

from contimg.errors import Unavailable
from contimg.host.resources import Conflict
from contimg.host.statuses import StatusWriter
from contimg.host.view import Shown
from contimg.limits import ProtocolLimits
from contimg.models.group import Condition, GroupStatus
from contimg.models.reason import Phase, Reason
from contimg.models.survey import Survey, SurveyStatus

LIMITS = ProtocolLimits()
GROUP = group_of(2)
SURVEY = Survey.model_validate({"metadata": {"name": "night"}, "spec": {"pipeline": "dsa110-continuum"}})


@pytest.fixture
def loop():
    made = VirtualLoop()
    yield made
    made.close()


class Written:
    """Takes statuses, and notes when."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, object]] = []
        self.refuses: list[Exception] = []
        self._begin = asyncio.get_running_loop().time()

    async def put_status(self, _resource, status) -> None:
        if self.refuses:
            raise self.refuses.pop(0)
        self.taken.append((self.now(), status))

    def now(self) -> float:
        return asyncio.get_running_loop().time() - self._begin

    def times(self) -> list[int]:
        """To the second: the work itself takes real time."""
        return [round(at) for at, _ in self.taken]


def scene(play):
    """Run an async function with a writer in virtual time as a test."""

    def test():
        async def begin():
            written = Written()
            await play(written, StatusWriter(written, LIMITS))

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(begin())

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


def condition(type_="Progressing", state="True", reason=Reason.RUNNING, message="", after=0):
    at = START + timedelta(seconds=after)
    return Condition(
        type=type_, status=state, reason=reason, message=message, observed_generation=1, last_transition_time=at
    )


def status(progress="", phase=Phase.RUNNING, conditions=None, **more):
    return GroupStatus(
        observed_generation=1, phase=phase, progress=progress, conditions=conditions or (condition(),), **more
    )


@scene
async def test_the_first_status_is_written_at_once(written, writer):
    assert await writer.write(GROUP, Shown(), status()) == 0
    assert written.taken == [(pytest.approx(0, abs=1), status())]


@scene
async def test_without_a_status_nothing_is_written(written, writer):
    assert await writer.write(GROUP, Shown(), None) == 0
    assert written.taken == []


@scene
async def test_the_same_status_is_never_written_again(written, writer):
    shown = Shown()
    for _ in range(5):
        assert await writer.write(GROUP, shown, status("1/3")) == 0
        await asyncio.sleep(60)
    assert written.times() == [0]


@scene
async def test_what_a_restarted_host_finds_is_not_written_again(written, writer):
    """It knows what the resource says, and not since when."""
    shown = Shown(status("1/3"))
    await writer.write(GROUP, shown, status("1/3"))
    assert written.taken == []
    assert await writer.write(GROUP, shown, status("2/3")) == 0
    assert written.times() == [0]


@scene
async def test_progress_of_every_second_is_written_every_ten(written, writer):
    """Ten minutes of it, and the last word is never lost: whoever asks is told when to come again."""
    shown = Shown()
    for second in range(600):
        wait = await writer.write(GROUP, shown, status(f"{second}/600"))
        assert 0 <= wait <= LIMITS.status_s
        await asyncio.sleep(1)
    assert 50 < len(written.taken) <= 61
    steps = [after - before for (before, _), (after, _) in pairwise(written.taken)]
    assert min(steps) >= LIMITS.status_s - 0.001
    last = status("599/600")
    await asyncio.sleep(await writer.write(GROUP, shown, last))
    assert await writer.write(GROUP, shown, last) == 0
    assert written.taken[-1][1] == last


@scene
async def test_it_says_how_long_to_wait(written, writer):
    shown = Shown()
    await writer.write(GROUP, shown, status("1/3"))
    await asyncio.sleep(4)
    assert round(await writer.write(GROUP, shown, status("2/3"))) == LIMITS.status_s - 4
    assert len(written.taken) == 1


FLIPS = {
    "phase": status(phase=Phase.FAILED),
    "status of a condition": status(conditions=(condition(state="False"),)),
    "reason of a condition": status(conditions=(condition(reason=Reason.WAITING_FOR_TRANSIT),)),
    "another condition": status(conditions=(condition(), condition("Degraded", reason=Reason.QUALITY))),
}
HELD = {
    "message": status(message="other words"),
    "progress": status(progress="2/3"),
    "message of a condition": status(conditions=(condition(message="other words"),)),
    "time of a condition": status(conditions=(condition(after=9),)),
}


@pytest.mark.parametrize(("changed", "at_once"), [(FLIPS, True), (HELD, False)], ids=["flips", "held"])
def test_a_word_that_programs_wait_for_is_written_at_once_and_another_is_held(changed, at_once, loop):
    async def play():
        for name, new in changed.items():
            written, shown = Written(), Shown()
            writer = StatusWriter(written, LIMITS)
            await writer.write(GROUP, shown, status())
            await asyncio.sleep(1)
            wait = await writer.write(GROUP, shown, new)
            assert (wait == 0) is at_once, name
            assert (shown.status == new) is at_once, name
            assert len(written.taken) == 1 + at_once, name

    loop.run_until_complete(play())


@scene
async def test_after_a_flip_the_ten_seconds_begin_anew(written, writer):
    shown = Shown()
    await writer.write(GROUP, shown, status("1/3"))
    await asyncio.sleep(9)
    await writer.write(GROUP, shown, status("1/3", Phase.STALLED))
    await asyncio.sleep(2)
    assert round(await writer.write(GROUP, shown, status("2/3", Phase.STALLED))) == 8
    assert written.times() == [0, 9]


@scene
async def test_at_the_end_nothing_is_held(written, writer):
    shown = Shown()
    await writer.write(GROUP, shown, status("1/3"))
    assert await writer.write(GROUP, shown, status("2/3"), held=False) == 0
    assert written.times() == [0, 0]


@scene
async def test_what_was_not_taken_counts_as_not_written(written, writer):
    """Neither the words nor the time: the next try is not held back."""
    shown = Shown()
    for error in (Conflict("it has changed"), Unavailable("the disk is full")):
        written.refuses = [error]
        with pytest.raises(type(error)):
            await writer.write(GROUP, shown, status("1/3"))
        assert shown == Shown()
    assert await writer.write(GROUP, shown, status("1/3")) == 0
    assert len(written.taken) == 1


@scene
async def test_of_a_survey_only_the_phase_is_a_flip(written, writer):
    def said(phase=Phase.RUNNING, message=""):
        return SurveyStatus(observed_generation=1, phase=phase, message=message)

    shown = Shown()
    await writer.write(SURVEY, shown, said())
    assert await writer.write(SURVEY, shown, said(message="2 groups")) > 0
    assert await writer.write(SURVEY, shown, said(Phase.STALLED)) == 0
    assert len(written.taken) == 2


@scene
async def test_groups_do_not_hold_each_other_up(written, writer):
    one, other = Shown(), Shown()
    await writer.write(GROUP, one, status("1/3"))
    assert await writer.write(group_of(2, name="g2"), other, status("1/3")) == 0
    assert len(written.taken) == 2
