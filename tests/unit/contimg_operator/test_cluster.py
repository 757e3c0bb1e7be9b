"""What is remembered of objects: echoes, older versions, gaps of a watch; versions as an API server has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from contimg.engine.status import refused
from contimg.errors import Unavailable
from contimg.host.resources import Conflict
from contimg.models.group import ObservationGroup
from contimg.models.instrument import pipelines
from contimg_operator.cluster import ClusterResources

NOW = datetime(2026, 1, 26, tzinfo=UTC)
Body = dict[str, Any]


@dataclass
class MemoryApi:
    """Objects with versions; :mod:`tests.integration.test_operator_life` has the real one."""

    objects: dict[tuple[str, str], Body] = field(default_factory=dict)
    namespace: str = "n"
    version: int = 100
    calls: list[str] = field(default_factory=list)

    def put(self, name: str, plural: str = "observationgroups", uid: str = "u", **spec: Any) -> Body:
        """Write an object as a user does."""
        self.version += 1
        wish = {"pipeline": "dsa110-continuum", "observations": {"members": ["a"]}, **spec}
        metadata = {"name": name, "uid": uid, "generation": self.version, "resourceVersion": str(self.version)}
        body = {"metadata": metadata, "spec": wish}
        self.objects[plural, name] = body
        return body

    async def listed(self, plural: str) -> AsyncIterator[tuple[list[Body], int]]:
        self.calls.append(f"list {plural}")
        yield [body for (kind, _), body in self.objects.items() if kind == plural], self.version

    async def get(self, plural: str, name: str) -> Body:
        self.calls.append(f"get {plural}")
        if (plural, name) not in self.objects:
            raise Conflict("not found")
        return self.objects[plural, name]

    async def create(self, plural: str, body: Body) -> Body:
        name = body["metadata"]["name"]
        self.calls.append(f"create {plural}")
        if (plural, name) in self.objects:
            raise Conflict("already exists")
        self.version += 1
        metadata = body["metadata"] | {"uid": "new", "generation": 1, "resourceVersion": str(self.version)}
        self.objects[plural, name] = body | {"metadata": metadata}
        return self.objects[plural, name]

    async def put_status(self, plural: str, name: str, body: Body) -> Body:
        known = self.objects.get((plural, name))
        if known is None or known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Conflict("has changed")
        self.version += 1
        metadata = known["metadata"] | {"resourceVersion": str(self.version)}
        self.objects[plural, name] = known | {"status": body["status"], "metadata": metadata}
        return self.objects[plural, name]

    async def apply_event(self, body: Body) -> None:
        self.calls.append(f"event {body['reason']} {body['count']}")


@pytest.fixture
def api() -> MemoryApi:
    return MemoryApi()


@pytest.fixture
def resources(api: MemoryApi) -> ClusterResources:
    return ClusterResources(api, {})  # type: ignore[arg-type]


def changes(resources: ClusterResources) -> int:
    return resources._changes.qsize()


async def groups(resources: ClusterResources) -> dict[str, ObservationGroup]:
    return {item.name: item for item in await resources.list() if isinstance(item, ObservationGroup)}


async def test_the_echo_of_an_own_write_says_nothing_and_an_older_version_replaces_no_newer(api, resources):
    first = api.put("g")
    (group,) = (await groups(resources)).values()
    await resources.put_status(group, refused(group, NOW, None, "no"))
    resources.note("observationgroups", "MODIFIED", api.objects["observationgroups", "g"])
    resources.note("observationgroups", "MODIFIED", first)
    assert changes(resources) == 0
    (now,) = (await groups(resources)).values()
    assert now.status is not None
    assert now.metadata.resource_version == str(api.version)


async def test_a_wish_that_changed_meanwhile_gets_no_status_of_the_old_one(api, resources):
    api.put("g")
    (group,) = (await groups(resources)).values()
    resources.note("observationgroups", "MODIFIED", api.put("g", suspend=True))
    with pytest.raises(Conflict):
        await resources.put_status(group, refused(group, NOW, None, "no"))


async def test_after_a_conflict_the_object_is_read_again(api, resources):
    api.put("g")
    (group,) = (await groups(resources)).values()
    api.put("g", suspend=True)  # no watch tells it
    with pytest.raises(Conflict):
        await resources.put_status(group, refused(group, NOW, None, "no"))
    assert "get observationgroups" in api.calls
    (now,) = (await groups(resources)).values()
    assert now.spec.suspend
    await resources.put_status(now, refused(now, NOW, None, "no"))
    del api.objects["observationgroups", "g"]
    with pytest.raises(Conflict):
        await resources.put_status(now, refused(now, NOW, None, "other"))
    assert await groups(resources) == {}


async def test_what_was_deleted_while_no_watch_was_there_is_gone_when_it_begins_anew(api, resources):
    api.put("gone")
    stays = api.put("stays")
    assert set(await groups(resources)) == {"gone", "stays"}
    del api.objects["observationgroups", "gone"]
    assert set(await groups(resources)) == {"gone", "stays"}
    resources.note("observationgroups", None, stays)
    assert set(await groups(resources)) == {"stays"}


async def test_the_last_object_of_a_kind_is_missed_like_any_other(api, resources):
    api.put("only")
    assert set(await groups(resources)) == {"only"}
    del api.objects["observationgroups", "only"]
    await resources.load()
    assert await groups(resources) == {}


async def test_the_events_of_a_group_that_is_found_gone_are_forgotten(api, resources):
    for _ in range(2):
        api.put("g")
        (group,) = (await groups(resources)).values()
        await resources.put_status(group, refused(group, NOW, None, "no"))
        now = api.objects.pop(("observationgroups", "g"))
        with pytest.raises(Conflict):
            await resources.put_status(group.model_validate(now), refused(group, NOW, None, "other"))
        resources._listed = float("-inf")
    assert [call for call in api.calls if call.startswith("event")] == ["event BadConfig 1"] * 2


async def test_the_deletion_of_an_older_object_of_this_name_is_no_deletion(api, resources):
    old = api.put("g", uid="old")
    resources.note("observationgroups", "ADDED", api.put("g", uid="new"))
    resources.note("observationgroups", "DELETED", old)
    assert set(await groups(resources)) == {"g"}
    assert (await asyncio.wait_for(anext(resources.watch()), 1)).name == "g"


async def test_a_status_that_makes_no_sense_counts_as_none(api, resources):
    body = api.put("g")
    body["status"] = {"phase": "Nonsense"}
    (group,) = (await groups(resources)).values()
    assert group.status is None


async def test_what_the_models_refuse_is_told_once_per_wish(api, resources):
    api.put("g", priority=1)
    for _ in range(3):
        assert await groups(resources) == {}
    said = api.objects["observationgroups", "g"]
    assert said["status"]["message"] == "spec.priority: unknown to this release; correct it and apply again"
    assert said["metadata"]["resourceVersion"] == str(api.version) == "102", "written once"
    resources.note("observationgroups", "MODIFIED", api.put("g"))
    assert set(await groups(resources)) == {"g"}


async def test_pipelines_of_the_release_are_added_when_they_are_missing(api):
    resources = ClusterResources(api, pipelines())  # type: ignore[arg-type]
    found = {item.name for item in await resources.list()}
    assert found == set(pipelines())
    await resources.list()
    assert api.calls.count("create pipelines") == len(found)


async def test_a_pipeline_that_cannot_be_created_stops_neither_the_others_nor_the_groups(api, monkeypatch):
    create = api.create

    async def refuse(plural: str, body: Body) -> Body:
        if body["metadata"]["name"] == "dsa110-continuum":
            raise Unavailable("the API server refuses to create pipelines (422): too long")
        return await create(plural, body)

    monkeypatch.setattr(api, "create", refuse)
    resources = ClusterResources(api, pipelines())  # type: ignore[arg-type]
    api.put("g")
    with capture_logs() as told:
        for _ in range(2):
            found = {item.name for item in await resources.list()}
            assert found == {"g", *pipelines()} - {"dsa110-continuum"}
    (line,) = told
    assert line["what"] == "dsa110-continuum"
    assert "too long" in line["event"]


async def test_one_event_for_each_reason_counted_up(api, resources):
    api.put("g")
    (group,) = (await groups(resources)).values()
    for words in ("no", "no, still not"):
        await resources.put_status(group, refused(group, NOW, None, words))
    assert [call for call in api.calls if call.startswith("event")] == ["event BadConfig 1"]
