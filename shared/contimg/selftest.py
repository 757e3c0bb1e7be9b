"""Try what a service is given, with its own credentials, and leave nothing: ``python -m contimg.selftest``.

``helm test`` runs it in every service's image with that service's environment and mounts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from contimg.access import KEEPER
from contimg.bus import Bus
from contimg.errors import BadInput, ContimgError
from contimg.keeper.service import KeeperClient
from contimg.limits import GIB
from contimg.objectstore import ObjectStore, S3Target
from contimg.settings import Settings, limits_of
from contimg.volume import disk

__all__ = ["checks", "main"]

Check = Callable[[], str]
"""Does it, and says in some words what works."""


def checks(settings: Settings, writes: Sequence[Path], reads: Sequence[Path]) -> dict[str, Check]:
    """Return what there is to try, by name.

    Parameters
    ----------
    settings
        Of the service; what they do not name is not tried.
    writes, reads
        Directories that it must be able to write to, or to read.
    """
    found: dict[str, Check] = {f"write {path}": partial(_write, path) for path in writes}
    found |= {f"read {path}": partial(_read, path) for path in reads}
    if settings.nats_url:
        found["bus"] = lambda: asyncio.run(_bus(settings))
    target = S3Target.from_environment()
    if target is not None:
        found["object store"] = lambda: _store(target)
    return found


def _write(directory: Path) -> str:
    disk.check_writable(directory, "written by this service")
    return f"{shutil.disk_usage(directory).free / GIB:.1f} GiB free"


def _read(directory: Path) -> str:
    return f"{len(list(directory.iterdir()))} entries"


async def _bus(settings: Settings) -> str:
    """Connect, and let the keeper refuse a question that nobody would ask."""
    password = settings.nats_password.get_secret_value()
    limits = limits_of(settings)
    user, url = settings.nats_user, settings.nats_url
    async with await Bus.connect(url, user, password, ca=settings.nats_ca, shard=settings.shard, limits=limits) as bus:
        if user == KEEPER:
            return f"user {user} at {url}"
        with contextlib.suppress(BadInput):  # the keeper has read the question: such inputs do not exist
            await KeeperClient(bus, settings.shard).inputs("selftest")
        return f"user {user} at {url}; the keeper answers"


def _store(target: S3Target) -> str:
    ObjectStore(target).check()
    return f"{target.access_key} may write to {target.url}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Try everything, print a line each, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m contimg.selftest", description=__doc__)
    parser.add_argument("service", help="its name, for the lines that are printed")
    parser.add_argument("--write", type=Path, action="append", default=[], help="a directory that must be writable")
    parser.add_argument("--read", type=Path, action="append", default=[], help="a directory that must be readable")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment()
        todo = checks(settings, given.write, given.read)
    except ContimgError as error:
        sys.stdout.write(f"FAILED  {given.service}: settings: {error}\n")
        return error.exit_code
    return max([_tried(f"{given.service}: {name}", check) for name, check in todo.items()], default=0)


def _tried(name: str, check: Check) -> int:
    try:
        sys.stdout.write(f"ok      {name}: {check()}\n")
    except (ContimgError, OSError) as error:
        sys.stdout.write(f"FAILED  {name}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
