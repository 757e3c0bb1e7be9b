"""The body of the operator's process: the watch, the host's loop, the pipelines of the release."""

from __future__ import annotations

from contimg.host.host import Host
from contimg.keeper.service import KeeperClient
from contimg.models.instrument import pipelines
from contimg.models.spec import specs
from contimg.process import Process
from contimg_operator.api import connected
from contimg_operator.cluster import ClusterResources
from contimg_operator.watch import watch

__all__ = ["serve"]


async def serve(process: Process) -> None:
    """Watch the custom resources of the namespace and bring their groups to publication until told to stop."""
    async with connected(process.settings.namespace) as api:
        resources = ClusterResources(api, pipelines())
        await process.wait_for("the API server", resources.load)
        bus = await process.connect()
        async with bus:
            process.spawn(watch(api.namespace, resources.note))
            host = Host(bus, KeeperClient(bus, bus.shard), resources, specs(), process.limits)
            await host.run(process.stopping.is_set)
