"""Run the keeper of a shard as a service: ``python -m contimg.keeper``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import structlog

from contimg.bus import Bus
from contimg.errors import BadConfig, ContimgError
from contimg.keeper.keeper import Keeper
from contimg.keeper.service import serve_keeper, tend
from contimg.volume.layout import Layout


async def _serve(keeper: Keeper) -> None:
    """Serve the shard ``CONTIMG_SHARD`` on the bus ``CONTIMG_NATS_URL`` until SIGTERM or SIGINT."""
    env, stopped = os.environ, asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    url, user, password = (env.get(f"CONTIMG_NATS_{name}", "") for name in ("URL", "USER", "PASSWORD"))
    shard = env.get("CONTIMG_SHARD", "main")
    if not url:
        raise BadConfig("CONTIMG_NATS_URL is not set; give the address of the NATS server, e.g. nats://nats:4222")
    bus = await Bus.connect(url, user, password, shard=shard, limits=keeper.limits)
    async with bus:
        await serve_keeper(bus, keeper, shard)
        tending = asyncio.create_task(tend(keeper))
        structlog.get_logger().info("keeper serves", shard=shard, state=str(keeper.layout.state))
        await stopped.wait()
        tending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tending


def main() -> int:
    """Run the keeper of one shard; exit codes are those of the error classes."""
    try:
        with Keeper(Layout.from_environment()) as keeper:
            asyncio.run(_serve(keeper))
    except ContimgError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
