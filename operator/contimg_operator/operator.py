"""The body of the operator's process: kopf's watch, the host's loop, the pipelines of the release."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, CustomObjectsApi

from contimg.errors import BadConfig
from contimg.host.host import Host
from contimg.keeper.service import KeeperClient
from contimg.models.instrument import pipelines
from contimg.models.spec import specs
from contimg.process import Process
from contimg_operator.cluster import GROUP, KINDS, VERSION, ClusterResources

__all__ = ["serve"]

_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WATCH_S = 300.0
"""A watch is renewed by the server after so long; the client gives it 20 s more."""


async def serve(process: Process) -> None:
    """Watch the custom resources of the namespace and bring their groups to publication until told to stop."""
    namespace = await _log_in(process.settings.namespace)
    bus = await process.connect()
    async with bus, ApiClient() as client:
        resources = ClusterResources(CustomObjectsApi(client), namespace)
        await resources.load()
        for pipeline in pipelines().values():
            await resources.add_pipeline(pipeline)
        process.spawn(_watch(resources, namespace, process.stopping))
        host = Host(bus, KeeperClient(bus, bus.shard), resources, specs(), process.limits)
        await host.run(process.stopping.is_set)


async def _log_in(namespace: str) -> str:
    """Use the pod's account, or a developer's kubeconfig; return the namespace to watch."""
    own = _own_namespace()
    if own:
        config.load_incluster_config()
        return namespace or own
    try:
        await config.load_kube_config()
    except config.ConfigException as error:
        raise BadConfig(f"there is no API server to log in to ({error}); set KUBECONFIG or run in a pod") from error
    return namespace or "default"


def _own_namespace() -> str:
    return _NAMESPACE.read_text().strip() if _NAMESPACE.exists() else ""


async def _watch(resources: ClusterResources, namespace: str, stopping: asyncio.Event) -> None:
    """Let kopf watch; it survives lost connections and tells what was there at its start."""
    registry = kopf.get_default_registry()
    for plural in KINDS:
        _listen(registry, plural, resources)
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.server_timeout = _WATCH_S
    settings.watching.client_timeout = _WATCH_S + 20.0
    settings.watching.connect_timeout = 10.0
    await kopf.operator(
        registry=registry, settings=settings, namespaces=[namespace], standalone=True, stop_flag=stopping
    )


def _listen(registry: kopf.OperatorRegistry, plural: str, resources: ClusterResources) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=f"note-{plural}")  # type: ignore[untyped-decorator]
    async def note(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        resources.note(plural, type, body)
