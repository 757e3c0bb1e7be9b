"""One machine in trouble: a worker that ends by itself, a group whose wishes are not known."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from engine_world import START

from contimg.engine.advance import advance
from contimg.errors import BadConfig
from contimg.host import local
from contimg.host.local import LocalOptions, _Machine
from contimg.models.fact import Facts
from contimg.models.group import ObservationGroup
from contimg.models.params import specs
from contimg.pipelines import pipeline
from contimg.volume.layout import Layout

DSA = pipeline("dsa110-continuum")


def group(name="g", **spec):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": START.isoformat(), "count": 1}} | spec
    return ObservationGroup.model_validate({"metadata": {"name": name}, "spec": wish})


@pytest.fixture
def machine(tmp_path):
    layout = Layout(tmp_path / "stage", tmp_path / "data")
    layout.incoming.mkdir(parents=True)
    made = _Machine(group(), DSA, LocalOptions(layout, tmp_path / "g.yaml"), lambda _: None)
    yield made
    made.keeper.close()


class _Waiting:
    """A host whose group waits for a task that nobody does."""

    async def reconcile(self, wish, chosen, status):
        return advance(wish, chosen, specs(), Facts(keeper_silent=True), datetime.now(UTC), status)


async def test_a_worker_that_ends_by_itself_ends_the_run(machine):
    async def worker():
        raise RuntimeError("boom")

    asyncio.create_task(worker()).add_done_callback(machine.on_worker_end)
    with pytest.raises(RuntimeError, match="boom"):
        await asyncio.wait_for(local._drive(machine, _Waiting(), None), 10)


async def test_a_worker_that_is_told_to_stop_is_no_trouble(machine):
    task = asyncio.create_task(asyncio.sleep(60))
    task.add_done_callback(machine.on_worker_end)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    assert machine.crash is None


def test_what_a_refused_group_wants_is_not_nothing(machine, tmp_path):
    refused = group("other", stages={"image": {"gone_parameter": 1}})
    machine.shelf.put(refused, tmp_path / "other.yaml")
    fine = advance(group(), DSA, specs(), Facts(), datetime.now(UTC))
    with pytest.raises(BadConfig, match="gone_parameter"):
        machine.wanted(fine)
    machine.tend(fine)
    assert machine.keeper._wanted_at is None  # so that nothing is released
