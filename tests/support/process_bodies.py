"""Bodies of processes for the tests of :mod:`contimg.process`; run as ``python process_bodies.py BODY``."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

import psutil

from contimg.errors import Damaged
from contimg.process import Process, start


async def waits(process: Process) -> None:
    """Connect, say so, and stop in good order when told."""
    await process.connect()
    print("connected", flush=True)
    await process.stopping.wait()
    print("stopped in good order", flush=True)


async def stubborn(process: Process) -> None:
    """Go on after the first SIGTERM."""
    process.health.unready = ""
    print("working", flush=True)
    await asyncio.sleep(60)


async def short_grace(process: Process) -> None:
    """Take longer than the grace allows."""
    process.grace_s = 0.2
    await stubborn(process)


async def loses_a_task(process: Process) -> None:
    """Have something beside the body that fails."""

    async def fail() -> None:
        raise Damaged("the thing beside the body is damaged; mend it")

    process.spawn(fail())
    await asyncio.sleep(60)


async def stands_still(process: Process) -> None:
    """Block the loop, as a hanging disk would."""
    process.health._still_s = 0.3
    print("blocking", flush=True)
    time.sleep(60)  # noqa: ASYNC251 - that is the point


async def leaves_orphans(_process: Process) -> None:
    """Let a child leave a zombie to us, and say when it is gone."""
    code = (
        "import os\nif os.fork() == 0:\n if os.fork() == 0: os._exit(0)\n print(os.getpid(), flush=True)\n os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)  # noqa: ASYNC221
    while _zombies():  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(0.05)
    print("no zombie is left", flush=True)


def _zombies() -> list[int]:
    return [child.pid for child in psutil.Process(os.getpid()).children() if child.status() == psutil.STATUS_ZOMBIE]


if __name__ == "__main__":
    start(sys.argv[1], f"process_bodies:{sys.argv[1]}")
