"""Watch ``incoming/`` and write observation records: ``python -m contimg_ingest``."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from typing import Annotated

import typer

from contimg.errors import BadConfig, ContimgError
from contimg.volume.layout import Layout
from contimg_ingest.policy import IngestPolicy
from contimg_ingest.scan import Scanner
from contimg_ingest.watch import log_report, watch


def run(
    *,
    once: Annotated[bool, typer.Option(help="Take every file as arrived, scan once and end.")] = False,
    interval_s: Annotated[float, typer.Option(help="Pause between scans in seconds.")] = 10.0,
    expect: Annotated[int, typer.Option(help="Subband files of a full set.")] = 16,
    minimum: Annotated[int, typer.Option("--min", help="Subband files that suffice at the deadline.")] = 16,
    deadline_s: Annotated[float, typer.Option(help="Wait after the last file of a set, in seconds.")] = 900.0,
) -> None:
    """Watch the incoming directory of the layout (``CONTIMG_INCOMING_DIR``)."""
    layout = Layout.from_environment()
    policy = IngestPolicy(expect=expect, min=minimum, deadline_s=deadline_s)
    try:
        if not layout.incoming.is_dir():
            raise BadConfig(f"{layout.incoming} is no directory; create it or set CONTIMG_INCOMING_DIR")
        scanner = Scanner(layout.incoming, layout.observations, layout.quarantine, policy, one_shot=once)
        asyncio.run(_once(scanner) if once else _service(scanner, interval_s))
    except ContimgError as error:
        typer.echo(f"contimg_ingest: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


async def _once(scanner: Scanner) -> None:
    await log_report(scanner.scan(datetime.now(UTC)))


async def _service(scanner: Scanner, interval_s: float) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await watch(scanner, log_report, stop, interval_s)


if __name__ == "__main__":
    typer.run(run)
