from __future__ import annotations

import asyncio
import contextlib

from structlog.testing import capture_logs

from contimg.worker.admission import Admission


async def begun(admission: Admission, stage: str, order: list[str], end: asyncio.Event) -> None:
    async with admission.slot(stage):
        order.append(stage)
        await end.wait()


@contextlib.asynccontextmanager
async def asked(admission: Admission, *stages: str):
    """Ask for slots in this order; give the stages that began and the end of each."""
    order: list[str] = []
    ends = {stage: asyncio.Event() for stage in stages}
    tasks = [asyncio.create_task(begun(admission, stage, order, ends[stage])) for stage in stages]
    await turned()
    try:
        yield order, ends
    finally:
        for end in ends.values():
            end.set()
        await asyncio.gather(*tasks)


async def turned() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_as_many_run_as_there_are_jobs_and_the_next_comes_when_one_ends():
    with capture_logs() as said:
        async with asked(Admission(2, 0), "a", "b", "c") as (order, ends):
            await in_turn(order, ends)
    assert [(line["event"], line["stage"], line["running"]) for line in said] == [
        ("waits for its turn", "c", ["a", "b"])
    ]


async def in_turn(order, ends):
    assert order == ["a", "b"]
    ends["b"].set()
    await turned()
    assert order == ["a", "b", "c"]


async def test_what_is_known_to_need_too_much_memory_together_runs_one_after_the_other():
    admission = Admission(4, 100)
    admission.note("a", 70)
    admission.note("b", 40)
    admission.note("c", 30)
    async with asked(admission, "a", "b", "c", "new") as (order, ends):
        assert order == ["a", "c", "new"], "nothing is known of a stage that never ran"
        ends["a"].set()
        await turned()
        assert order == ["a", "c", "new", "b"]


async def test_the_first_is_always_let_in_and_the_last_peak_counts():
    admission = Admission(2, 100)
    admission.note("a", 500)
    async with asked(admission, "a", "b") as (order, _):
        assert order == ["a"]
    admission.note("a", 50)
    async with asked(admission, "a", "b") as (order, _):
        assert order == ["a", "b"]


async def test_a_slot_is_given_back_when_its_work_fails_or_is_cancelled():
    admission = Admission(1, 0)
    with contextlib.suppress(ValueError):
        async with admission.slot("a"):
            raise ValueError
    waiting = asyncio.create_task(begun(admission, "a", [], asyncio.Event()))
    await turned()
    waiting.cancel()
    await asyncio.wait({waiting})
    async with asked(admission, "b") as (order, _):
        assert order == ["b"]
