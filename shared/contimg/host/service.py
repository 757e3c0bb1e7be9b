"""The host as a process of its own, over YAML files in a directory; on a cluster the operator takes its place."""

from __future__ import annotations

from contimg.host.files import FileResources
from contimg.host.host import Host
from contimg.keeper.service import KeeperClient
from contimg.models.spec import specs
from contimg.process import Process
from contimg.volume import disk

__all__ = ["serve"]


async def serve(process: Process) -> None:
    """Bring the groups and surveys of ``<state>/config/groups/*.yaml`` to publication until told to stop.

    A file that is written there is a wish, one that is edited another, one that is removed is withdrawn.
    """
    directory = process.layout.wishes
    disk.make(directory)
    resources = FileResources(process.layout, [directory])
    bus = await process.connect()
    async with bus:
        host = Host(bus, KeeperClient(bus, bus.shard), resources, specs(), process.limits)
        await host.run(process.stopping.is_set)
