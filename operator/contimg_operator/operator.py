"""The body of the operator's process: the watch, the host's loop, the pipelines of the release."""

from __future__ import annotations

import structlog
import tenacity

from contimg.errors import Retryable
from contimg.host.host import Host
from contimg.host.resources import Conflict
from contimg.keeper.service import KeeperClient
from contimg.models.instrument import pipelines
from contimg.models.spec import specs
from contimg.process import Process
from contimg_operator.api import connected
from contimg_operator.cluster import ClusterResources
from contimg_operator.watch import watch

__all__ = ["serve"]

_log = structlog.get_logger(__name__)


async def serve(process: Process) -> None:
    """Watch the custom resources of the namespace and bring their groups to publication until told to stop."""
    async with connected(process.settings.namespace) as api:
        resources = ClusterResources(api, pipelines())
        await _loaded(resources, process)
        bus = await process.connect()
        async with bus:
            process.spawn(watch(api.namespace, resources.note))
            host = Host(bus, KeeperClient(bus, bus.shard), resources, specs(), process.limits)
            await host.run(process.stopping.is_set)


async def _loaded(resources: ClusterResources, process: Process) -> None:
    """Wait, unready, for an API server that answers and knows our resources."""

    def note(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        hint = "; are the definitions of the chart installed?" if isinstance(error, Conflict) else ""
        process.health.unready = f"waits for the API server: {error}{hint}"
        _log.warning("waits for the API server", error=f"{error}{hint}", attempt=state.attempt_number)

    waiting = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Retryable),
        wait=tenacity.wait_exponential(max=10.0),
        before_sleep=note,
        reraise=True,
    )
    await waiting(resources.load)
