"""The host on a real bus, with a real keeper and real files: edits in the middle of a run, losses, two hosts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import paper_stages
import pytest
from keeper_state import observation, write
from nats_fixture import QUICK

from contimg.bus import Bus
from contimg.host import files
from contimg.host.files import FileResources
from contimg.host.host import Host
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import KeeperClient, serve_keeper
from contimg.models.fact import IngestFact
from contimg.models.reason import Reason
from contimg.models.spec import specs
from contimg.models.task import Task
from contimg.servers.nats import NatsServer
from contimg.streams import TASKS
from contimg.volume.layout import Layout

pytestmark = pytest.mark.integration
MEMBERS = 4


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(files, "POLL_S", 0.02)


@dataclass
class Place:
    """One directory with files of groups, a bus, a keeper, a host and workers on paper."""

    layout: Layout
    server: NatsServer
    started: list[Task] = field(default_factory=list)

    def file(self, name="g"):
        return self.layout.data_base / f"{name}.yaml"

    def write(self, name="g", **spec):
        """Write the YAML file of a group of the first members."""
        ids = [observation(4 + number).id for number in range(MEMBERS)]
        spec = {"pipeline": "dsa110-continuum", "observations": {"members": ids}} | spec
        write(self.file(name), json.dumps({"kind": "ObservationGroup", "metadata": {"name": name}, "spec": spec}))

    def phase(self, name="g"):
        status = self.resources.store.status(name)
        return str(status.phase) if status else ""

    @contextlib.asynccontextmanager
    async def running(self, *names, task_s=0.15, hosts=1):
        """Run everything meanwhile; the files of the names are followed."""
        self.resources = FileResources(self.layout, [self.file(name) for name in names or ("g",)])
        async with contextlib.AsyncExitStack() as stack:
            keeper = stack.enter_context(Keeper(self.layout, QUICK))
            self.bus = bus = await stack.enter_async_context(await self.connect())
            await serve_keeper(bus, keeper, bus.shard)
            buses = [await stack.enter_async_context(await self.connect()) for _ in range(hosts)]
            limits = replace(QUICK, status_s=0.1, look_s=1.0, silent_again_s=0.5, check_streams_s=1.0)
            loops = [Host(one, KeeperClient(one, one.shard), self.resources, specs(), limits) for one in buses]
            hands = await stack.enter_async_context(await self.connect(fetch_s=0.02))
            work = paper_stages.work(hands, self.layout, task_s, self.started.append)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            running = [tasks.create_task(each) for each in (work, *(loop.run() for loop in loops))]
            yield keeper
            for task in running:
                task.cancel()

    async def connect(self, **limits):
        chosen = replace(QUICK, **limits)
        return await Bus.connect(self.server.url, self.server.user, self.server.password, limits=chosen)

    async def until(self, condition, within_s=60.0):
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110 - other processes decide
                await asyncio.sleep(0.01)

    def counted(self):
        return Counter(task.stage for task in self.started)


@pytest.fixture
def place(tmp_path):
    layout = Layout(tmp_path / "stage", tmp_path / "data")
    layout.stage_base.mkdir()
    for number in range(MEMBERS):
        record = observation(4 + number)
        transits = tuple(item.model_copy(update={"transit": record.start}) for item in record.calibrators)
        record = record.model_copy(update={"calibrators": transits})
        write(layout.observations / record.date / f"{record.id}.json", record.model_dump_json())
    write(layout.ingest_fact, IngestFact(scanned=datetime.now(UTC)).model_dump_json())
    with NatsServer(tmp_path / "nats") as server:
        made = Place(layout, server)
        made.write()
        yield made


async def to_the_images(place):
    """Wait for the first image and return the tasks of the old wish."""
    await place.until(lambda: any(task.stage == "image" for task in place.started))
    return len(place.started)


def images_after(place, before, robust):
    """Return the image tasks that began after an edit and do not follow it."""
    later = [task for task in place.started[before:] if task.stage == "image"]
    return [task for task in later if task.params["robust"] != robust]


async def test_an_edit_in_the_middle_of_a_run(place):
    """At most one task of the old wish begins after the edit; what fits the new wish is not done again."""
    async with place.running():
        before = await to_the_images(place)
        place.write(stages={"image": {"robust": 0.75}})
        await place.until(lambda: any(t.stage == "image" and t.params["robust"] == 0.75 for t in place.started))
        await place.until(lambda: place.phase() == "Published")
        assert len(images_after(place, before, 0.75)) <= 1
        assert place.counted()["convert"] == MEMBERS
        assert await place.bus.queued() == []


async def test_suspended_and_resumed(place):
    async with place.running():
        before = await to_the_images(place)
        place.write(suspend=True)
        await place.until(lambda: place.phase() == "Suspended")
        await asyncio.sleep(0.5)
        assert len(place.started) - before <= 2, "one that began during the edit, one after it"
        assert [name for name in await place.bus.queued() if name[0] == "image"] == []
        place.write()
        await place.until(lambda: place.phase() == "Published")
    assert place.counted()["image"] == MEMBERS


async def test_removed_and_added_again(place):
    async with place.running():
        before = await to_the_images(place)
        text = place.file().read_text()
        place.file().unlink()
        await asyncio.sleep(0.8)
        stopped = len(place.started)
        assert stopped - before <= 2
        await asyncio.sleep(0.5)
        assert len(place.started) == stopped
        assert await place.bus.queued() == []
        place.file().write_text(text)
        await place.until(lambda: place.phase() == "Published")
    assert place.counted()["image"] == MEMBERS
    assert place.layout.run("image", place.started[-1].inputs["image"][0]).is_dir(), "products stay"


async def test_replay_and_reprocess_in_the_middle(place):
    async with place.running():
        await to_the_images(place)
        place.write(replay=1)
        await asyncio.sleep(0.3)
        place.write(replay=1, reprocess=1)
        await place.until(lambda: place.phase() == "Published")
    counted = place.counted()
    assert counted["convert"] == MEMBERS
    assert counted["image"] <= MEMBERS + 1


async def test_the_stream_is_deleted_and_made_again(place):
    async with place.running():
        await to_the_images(place)
        await place.bus._jetstream.delete_stream(TASKS)
        place.server.kill()
        place.server.start()
        await place.until(lambda: place.phase() == "Published")


async def test_the_server_is_away_and_that_is_said(place):
    async with place.running():
        await to_the_images(place)
        place.server.kill()
        await place.until(lambda: "BusAway" in {c.reason for c in place.resources.store.status("g").conditions}, 30)
        place.server.start()
        await place.until(lambda: place.phase() == "Published")
    reasons = {condition.reason for condition in place.resources.store.status("g").conditions}
    assert Reason.BUS_AWAY not in reasons


async def test_two_hosts_do_everything_once(place):
    place.write("h")
    async with place.running("g", "h", hosts=2, task_s=0.0):
        await place.until(lambda: place.phase("g") == place.phase("h") == "Published")
    assert place.counted()["convert"] == MEMBERS, "members are shared"
    assert place.counted()["mosaic"] == 2
