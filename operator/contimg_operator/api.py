"""Calls to the API server about one namespace: every one is timed, counted, and fails in our own words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, CoreV1Api, CustomObjectsApi
from kubernetes.aio.client.exceptions import ApiException
from prometheus_client import Counter, Histogram

from contimg.errors import BadConfig, Unavailable
from contimg.host.resources import Conflict
from contimg.models.resource import API_VERSION

__all__ = ["CALLS", "GROUP", "VERSION", "Api", "Body", "connected"]

Body = dict[str, Any]
GROUP, _, VERSION = API_VERSION.partition("/")
CALLS = Counter(
    "contimg_api_calls",
    "Calls to the API server by verb, resource and HTTP status (0: no answer).",
    ["verb", "resource", "code"],
)
SECONDS = Histogram(
    "contimg_api_call_seconds",
    "Time until the API server answered.",
    ["verb", "resource"],
    buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
_TIMEOUT_S = 15.0
_PAGE = 250
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Api:
    """The calls.

    Parameters
    ----------
    client
        Knows the server and who we are.
    namespace
        The only one that is asked about.

    Every call raises ``Conflict`` if the object is gone, there already, or has changed since; ``Unavailable`` if the
    server does not answer or refuses.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._objects, self._core, self.namespace = CustomObjectsApi(client), CoreV1Api(client), namespace

    async def listed(self, plural: str) -> AsyncIterator[tuple[list[Body], int]]:
        """Yield the objects by pages, one at least, each with the version of the list."""
        more: dict[str, str] = {}
        while True:
            function = self._objects.list_namespaced_custom_object
            page = await self._call("list", plural, function, limit=_PAGE, **more)
            yield page["items"], int(page["metadata"]["resourceVersion"])
            if not page["metadata"].get("continue"):
                return
            more = {"_continue": page["metadata"]["continue"]}

    async def get(self, plural: str, name: str) -> Body:
        """Return one object."""
        return await self._call("get", plural, self._objects.get_namespaced_custom_object, name=name)

    async def create(self, plural: str, body: Body) -> Body:
        """Add an object."""
        return await self._call("create", plural, self._objects.create_namespaced_custom_object, body=body)

    async def put_status(self, plural: str, name: str, body: Body) -> Body:
        """Replace the status of an object of exactly the version that the body names."""
        function = self._objects.replace_namespaced_custom_object_status
        return await self._call("update", plural, function, name=name, body=body)

    async def apply_event(self, body: Body) -> None:
        """Make an Event, or bring the one of its name up to date."""
        with _told("patch", "events"):
            await self._core.patch_namespaced_event_without_preload_content(
                body["metadata"]["name"],
                self.namespace,
                body,
                field_manager="contimg-operator",
                force=True,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_TIMEOUT_S,
            )

    async def _call(self, verb: str, plural: str, function: Any, **arguments: Any) -> Body:
        where = {"group": GROUP, "version": VERSION, "namespace": self.namespace, "plural": plural}
        with _told(verb, plural):
            answer: Body = await function(**where, **arguments, _request_timeout=_TIMEOUT_S)
        return answer


@contextmanager
def _told(verb: str, resource: str) -> Iterator[None]:
    """Count and time a call, and say in our words what went wrong."""
    code = 0
    try:
        with SECONDS.labels(verb, resource).time():
            yield
        code = 200
    except ApiException as error:
        code = error.status or 0
        if code in {404, 409}:
            raise Conflict(f"{verb} {resource}: {_said(error)}") from error
        raise Unavailable(f"the API server refuses to {verb} {resource} ({code}): {_said(error)}") from error
    except (ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"the API server does not answer ({type(error).__name__}: {error})") from error
    finally:
        CALLS.labels(verb, resource, str(code)).inc()


def _said(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "")["message"])[:500]
    except (ValueError, KeyError, TypeError):  # a proxy on the way speaks no JSON
        return str(error.reason)


@asynccontextmanager
async def connected(namespace: str) -> AsyncIterator[Api]:
    """Log in with the pod's account, or as KUBECONFIG says.

    Parameters
    ----------
    namespace
        Empty: the one of the pod, else ``default``.

    Raises
    ------
    BadConfig
        If there is neither account nor kubeconfig.
    """
    own = _own_namespace()
    try:
        if own:
            config.load_incluster_config()
        else:
            await config.load_kube_config()
    except (config.ConfigException, OSError) as error:
        raise BadConfig(f"there is no API server to log in to ({error}); run in a pod or set KUBECONFIG") from error
    async with ApiClient() as client:
        yield Api(client, namespace or own or "default")


def _own_namespace() -> str:
    return _NAMESPACE.read_text().strip() if _NAMESPACE.exists() else ""
