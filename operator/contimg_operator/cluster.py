"""Custom resources as the host's Resources: kopf's watch fills a cache, a status goes back by one PUT.

Nothing is written but statuses, groups that a survey forms and pipelines that the release ships; no finalizer, no
annotation. What the models refuse although the API server took it is shown as ``Stalled/BadConfig`` and left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import ClientError
from kubernetes.aio.client import ApiException, CustomObjectsApi
from prometheus_client import Counter
from pydantic import ValidationError

from contimg.errors import Unavailable
from contimg.host.resources import Change, Conflict, Resource, Status
from contimg.models.group import ObservationGroup
from contimg.models.pipeline import Pipeline
from contimg.models.resource import API_VERSION
from contimg.models.survey import Survey

__all__ = ["KINDS", "ClusterResources"]

GROUP, _, VERSION = API_VERSION.partition("/")
KINDS: dict[str, type[ObservationGroup | Survey | Pipeline]] = {
    "observationgroups": ObservationGroup,
    "pipelines": Pipeline,
    "surveys": Survey,
}
"""Model by plural name."""
CALLS = Counter(
    "contimg_api_calls",
    "Calls to the API server by verb, resource and what came of them.",
    ["verb", "resource", "code"],
)
_log = structlog.get_logger(__name__)
Body = dict[str, Any]


class ClusterResources:
    """The resources of one namespace.

    Parameters
    ----------
    api
        Client of the API server.
    namespace
        One release is one namespace.
    """

    def __init__(self, api: CustomObjectsApi, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._known: dict[tuple[str, str], Body] = {}
        self._changes: asyncio.Queue[Change] = asyncio.Queue()
        self._refused: dict[tuple[str, str], str] = {}

    async def load(self) -> None:
        """List everything once, before the watch takes over.

        Raises
        ------
        Unavailable
            If the API server does not answer.
        """
        for plural in KINDS:
            answer = await self._call("list", plural, self._api.list_namespaced_custom_object)
            for body in answer["items"]:
                self._known[plural, body["metadata"]["name"]] = body

    def note(self, plural: str, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take over what the watch tells; ``kind`` is None for what was there at its start."""
        name = body["metadata"]["name"]
        if kind == "DELETED":
            self._known.pop((plural, name), None)
            self._refused.pop((plural, name), None)
        else:
            self._known[plural, name] = _plain(body)
        self._changes.put_nowait(Change(KINDS[plural].__name__, name))

    async def list(self) -> Sequence[Resource]:
        """Return everything that the models take; the rest gets a status that says why not."""
        found: list[Resource] = []
        for (plural, name), body in sorted(self._known.items()):
            try:
                found.append(_parsed(plural, body))
                self._refused.pop((plural, name), None)
            except ValidationError as error:
                await self._refuse(plural, name, error)
        return found

    async def watch(self) -> AsyncIterator[Change]:
        """Tell of changes as the watch brings them."""
        while True:
            yield await self._changes.get()

    async def create(self, group: ObservationGroup) -> None:
        """Add a group that a survey formed; one of this name that is there already stays as it is."""
        await self._add("observationgroups", group)

    async def add_pipeline(self, pipeline: Pipeline) -> None:
        """Add a pipeline that the release ships; it never changes, so one that is there stays."""
        known = self._known.get(("pipelines", pipeline.name))
        if known is None:
            await self._add("pipelines", pipeline)
        elif _parsed("pipelines", known) != pipeline and known["spec"] != _body(pipeline)["spec"]:
            _log.warning("pipeline differs from the one of this release; it is used as it is", pipeline=pipeline.name)

    async def _add(self, plural: str, resource: ObservationGroup | Pipeline) -> None:
        try:
            body = await self._call("create", plural, self._api.create_namespaced_custom_object, body=_body(resource))
        except Conflict:
            return
        self._known[plural, resource.name] = body

    async def put_status(self, resource: ObservationGroup | Survey, status: Status) -> None:
        """Replace the status of a resource as it was listed."""
        plural = next(name for name, model in KINDS.items() if isinstance(resource, model))
        await self._put(
            plural,
            resource.name,
            resource.metadata.resource_version,
            status.model_dump(mode="json", by_alias=True, exclude_none=True),
        )

    async def _put(self, plural: str, name: str, version: str, status: Body) -> None:
        known = self._known.get((plural, name))
        if known is None:
            return
        body = known | {"status": status, "metadata": known["metadata"] | {"resourceVersion": version}}
        replace = self._api.replace_namespaced_custom_object_status
        self._known[plural, name] = await self._call("put", plural, replace, name=name, body=body)

    async def _refuse(self, plural: str, name: str, error: ValidationError) -> None:
        """Say once per generation why a resource is not taken."""
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = f"{field}: {first['msg']}; correct it and apply again"[:1024]
        if self._refused.get((plural, name)) == message or plural == "pipelines":
            return
        self._refused[plural, name] = message
        metadata = self._known[plural, name]["metadata"]
        await self._put(plural, name, metadata["resourceVersion"], _bad_config(plural, metadata, message))

    async def _call(self, verb: str, plural: str, function: Any, **arguments: Any) -> Body:
        where = {"group": GROUP, "version": VERSION, "namespace": self._namespace, "plural": plural}
        try:
            answer: Body = await function(**where, **arguments)
        except ApiException as error:
            CALLS.labels(verb, plural, str(error.status)).inc()
            if error.status in {404, 409}:
                raise Conflict(f"{plural} {arguments.get('name', '')}: the API server has another version") from error
            raise Unavailable(f"the API server refused to {verb} {plural} ({error.status} {error.reason})") from error
        except (ClientError, TimeoutError, OSError) as error:
            CALLS.labels(verb, plural, "0").inc()
            raise Unavailable(f"the API server does not answer ({type(error).__name__}: {error})") from error
        CALLS.labels(verb, plural, "200").inc()
        return answer


def _plain(value: Any) -> Any:
    """Return plain dictionaries and lists of kopf's read-only views."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _parsed(plural: str, body: Body) -> Resource:
    return KINDS[plural].model_validate(body)


def _body(resource: ObservationGroup | Pipeline) -> Body:
    found: Body = resource.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"metadata", "status"})
    metadata = {"name": resource.name} | ({"labels": resource.metadata.labels} if resource.metadata.labels else {})
    return found | {"apiVersion": API_VERSION, "kind": type(resource).__name__, "metadata": metadata}


def _bad_config(plural: str, metadata: Body, message: str) -> Body:
    """Return the status of a resource that the models refuse."""
    generation = int(metadata.get("generation", 1))
    status: Body = {"observedGeneration": generation, "phase": "Stalled", "message": message}
    if plural == "surveys":
        return status | {"reason": "BadConfig"}
    condition = {
        "reason": "BadConfig",
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": metadata["creationTimestamp"],
    }
    states = {"Succeeded": "Unknown", "Progressing": "False", "Stalled": "True", "Degraded": "False"}
    return status | {"conditions": [{"type": kind, "status": state, **condition} for kind, state in states.items()]}
