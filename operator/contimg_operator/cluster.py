"""Custom resources as the host's Resources: the watch fills a memory, a status goes back by one PUT.

Nothing is written but statuses, Events, groups that a survey forms and pipelines that the release ships; no finalizer,
no annotation. What the models refuse although the API server took it is shown as ``Stalled/BadConfig`` and left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from contimg.errors import ContimgError
from contimg.host.resources import Change, Conflict, Resource, Status
from contimg.models.group import Condition, GroupStatus, ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase, Reason
from contimg.models.resource import API_VERSION
from contimg.models.survey import Survey, SurveyStatus
from contimg_operator.api import Api, Body
from contimg_operator.events import Events, notable

__all__ = ["KINDS", "ClusterResources"]

KINDS: dict[str, type[Resource]] = {"observationgroups": ObservationGroup, "pipelines": Pipeline, "surveys": Survey}
"""Model by plural name."""
_PLURAL = {model.__name__: plural for plural, model in KINDS.items()}
_LIST_S = 600.0
"""Everything is listed anew so often: what a watch did not tell is found."""
_log = structlog.get_logger(__name__)
Key = tuple[str, str]


@dataclass(frozen=True)
class _Known:
    """What is remembered of an object; its status is the one that was read or written last."""

    version: int
    uid: str
    generation: int
    resource: Resource | None = None
    refused: str = ""
    """Why the models do not take it."""
    told: bool = False
    """Whether its status says so."""


class ClusterResources:
    """The resources of one namespace.

    Parameters
    ----------
    api
        Calls about the namespace: one release is one namespace.
    shipped
        The pipelines of the release; those that are missing are added.
    """

    def __init__(self, api: Api, shipped: Mapping[str, Pipeline]) -> None:
        self._api, self._shipped, self._events = api, shipped, Events(api)
        self._known: dict[Key, _Known] = {}
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._listed = float("-inf")
        self._differing: set[str] = set()

    # -- what the host asks -------------------------------------------------------------------------------------

    async def list(self) -> Sequence[Resource]:
        """Return everything that the models take; the rest gets a status that says why not."""
        if time.monotonic() - self._listed > _LIST_S:
            await self.load()
        await self._ship()
        for key, known in sorted(self._known.items()):
            if known.refused and not known.told:
                await self._refuse(key, known)
        return [known.resource for _, known in sorted(self._known.items()) if known.resource is not None]

    async def watch(self) -> AsyncIterator[Change]:
        """Tell of changes as the watch brings them."""
        while True:
            yield await self._changes.get()

    async def create(self, group: ObservationGroup) -> None:
        """Add a group that a survey formed; one of this name that is there already stays as it is."""
        await self._add(group)

    async def put_status(self, resource: ObservationGroup | Survey, status: Status) -> None:
        """Replace the status of a resource, unless its wish has changed since it was listed."""
        key = (_PLURAL[resource.kind], resource.name)
        known = self._known.get(key)
        meant = (resource.metadata.uid, resource.metadata.generation)
        if known is None or not isinstance(known.resource, type(resource)) or (known.uid, known.generation) != meant:
            raise Conflict(f"{resource.kind} {resource.name} has changed; it is looked at again")
        old = known.resource.status
        said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        version = await self._put(key, known, said)
        metadata = known.resource.metadata.model_copy(update={"resource_version": str(version)})
        written = known.resource.model_copy(update={"metadata": metadata, "status": status})
        self._known[key] = replace(known, version=version, resource=written)
        if isinstance(resource, ObservationGroup):
            for condition in notable(old, status):
                await self._events.tell(resource, condition)

    # -- what the watch tells -----------------------------------------------------------------------------------

    def note(self, plural: str, kind: str | None, body: Body) -> None:
        """Take over what the watch tells; ``kind`` is None for what was there at its start."""
        key = (plural, body["metadata"]["name"])
        known = self._known.get(key)
        if kind is None:  # the watch began anew: it does not tell what was deleted meanwhile
            self._listed = float("-inf")
        if kind == "DELETED":
            if known is None or known.uid != body["metadata"]["uid"]:
                return
            self._forget(key)
        elif not self._take(key, body):
            return
        self._changes.put_nowait(Change(KINDS[plural].__name__, key[1]))

    async def load(self) -> None:
        """List everything.

        Raises
        ------
        Unavailable
            If the API server does not answer.
        Conflict
            If it does not know our resources.
        """
        for plural in KINDS:
            try:
                await self._load(plural)
            except Conflict as error:
                raise Conflict(f"{error}; are the definitions of the chart installed?") from error
        self._listed = time.monotonic()

    async def _load(self, plural: str) -> None:
        """List a kind, and forget what is not there any more."""
        seen, at = set[str](), 0
        async for bodies, version in self._api.listed(plural):
            at = version
            for body in bodies:
                seen.add(body["metadata"]["name"])
                self._take((plural, body["metadata"]["name"]), body)
        for key, known in list(self._known.items()):
            if key[0] == plural and key[1] not in seen and known.version <= at:
                self._forget(key)

    def _take(self, key: Key, body: Body) -> bool:
        """Remember an object, unless it is known as it is or newer; the echo of what we wrote says nothing."""
        version, known = int(body["metadata"]["resourceVersion"]), self._known.get(key)
        if known is not None and known.uid == body["metadata"]["uid"] and version <= known.version:
            return False
        self._known[key] = _understood(key[0], body, version, known)
        return True

    def _forget(self, key: Key) -> None:
        self._known.pop(key, None)
        self._events.forget(key[1])

    # -- what is written ----------------------------------------------------------------------------------------

    async def _put(self, key: Key, known: _Known, status: Body) -> int:
        """Write a status and return the version it has now; after a conflict the object is read again."""
        plural, name = key
        metadata = {"name": name, "namespace": self._api.namespace, "uid": known.uid}
        metadata["resourceVersion"] = str(known.version)
        head = {"apiVersion": API_VERSION, "kind": KINDS[plural].__name__, "metadata": metadata}
        try:
            answer = await self._api.put_status(plural, name, head | {"spec": {}, "status": status})
        except Conflict:
            await self._read_again(key)
            raise
        if answer.get("status") != status:
            self._differ(plural, "its definition is of another release and does not keep a status whole; upgrade it")
        return int(answer["metadata"]["resourceVersion"])

    async def _read_again(self, key: Key) -> None:
        try:
            self._take(key, await self._api.get(*key))
        except Conflict:  # it is gone
            self._forget(key)

    async def _ship(self) -> None:
        """Add the pipelines of the release that are not there; one that is there never changes."""
        for name, pipeline in self._shipped.items():
            known = self._known.get(("pipelines", name))
            if known is None:
                try:
                    await self._add(pipeline)
                except ContimgError as error:  # groups of other pipelines go on
                    self._differ(name, f"a pipeline could not be created, groups use it all the same: {error}")
            elif isinstance(known.resource, Pipeline) and known.resource.spec != pipeline.spec:
                self._differ(name, "a pipeline differs from the one of this release; it is used as it is")

    def _differ(self, what: str, words: str) -> None:
        if what not in self._differing:
            self._differing.add(what)
            _log.warning(words, what=what)

    async def _add(self, resource: ObservationGroup | Pipeline) -> None:
        key = (_PLURAL[resource.kind], resource.name)
        try:
            body = await self._api.create(key[0], _body(resource))
        except Conflict:  # it is there
            await self._read_again(key)
        else:
            self._take(key, body)

    async def _refuse(self, key: Key, known: _Known) -> None:
        """Say once per version why a resource is not taken."""
        status = _bad_config(key[0], known)
        if status is None:  # a pipeline has none; groups that use it say that it is unknown
            self._differ(key[1], known.refused)
            return
        said = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        try:
            version = await self._put(key, known, said)
        except ContimgError as error:
            _log.warning("status not written", name=key[1], error=str(error))
            return
        self._known[key] = replace(known, version=version, told=True)


def _understood(plural: str, body: Body, version: int, old: _Known | None) -> _Known:
    """Return what is remembered of an object; a status that makes no sense counts as none."""
    metadata = body["metadata"]
    known = _Known(version, metadata["uid"], int(metadata.get("generation", 1)))
    try:
        return replace(known, resource=_parsed(plural, body))
    except ValidationError as error:
        first = error.errors()[0]
    words = "unknown to this release" if first["type"] == "extra_forbidden" else first["msg"]
    message = f"{'.'.join(map(str, first['loc']))}: {words}; correct it and apply again"[:1024]
    same = old is not None and (old.uid, old.generation, old.refused) == (known.uid, known.generation, message)
    return replace(known, refused=message, told=same and old is not None and old.told)


def _parsed(plural: str, body: Body) -> Resource:
    try:
        return KINDS[plural].model_validate(body)
    except ValidationError as error:
        if any(item["loc"][0] != "status" for item in error.errors()):
            raise
        return KINDS[plural].model_validate({key: value for key, value in body.items() if key != "status"})


def _body(resource: ObservationGroup | Pipeline) -> Body:
    found: Body = resource.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"metadata", "status"})
    metadata = {"name": resource.name} | ({"labels": resource.metadata.labels} if resource.metadata.labels else {})
    return found | {"apiVersion": API_VERSION, "kind": resource.kind, "metadata": metadata}


def _bad_config(plural: str, known: _Known) -> Status | None:
    """Return the status of a resource that the models refuse."""
    if plural == "pipelines":
        return None
    head: dict[str, Any] = {"observed_generation": known.generation, "phase": Phase.STALLED, "message": known.refused}
    if plural == "surveys":
        return SurveyStatus(**head, reason=Reason.BAD_CONFIG)
    states = {"Succeeded": "Unknown", "Progressing": "False", "Stalled": "True", "Degraded": "False"}
    same: dict[str, Any] = {
        "reason": Reason.BAD_CONFIG,
        "message": known.refused,
        "observed_generation": known.generation,
        "last_transition_time": datetime.now(UTC).replace(microsecond=0),
    }
    conditions = [Condition.model_validate({"type": kind, "status": state, **same}) for kind, state in states.items()]
    return GroupStatus(**head, conditions=tuple(conditions))
