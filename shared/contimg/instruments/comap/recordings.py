"""Level-1 files as observations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from contimg.errors import BadInput
from contimg.instruments.comap.site import SAMPLE_S, observation_id
from contimg.models.instrument import FileSet, Piece
from contimg.models.observation import Description
from contimg.models.quality import judge
from contimg.radio.level1 import Level1Header, read_level1_header

__all__ = ["description", "pieces_of"]

_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


def pieces_of(path: Path) -> Sequence[Piece]:
    """Return the one piece of a file.

    Raises
    ------
    BadInput
        If the file cannot be used, or name and attribute give different obsids.
    """
    header = read_level1_header(path)
    named = int(path.name.split("-")[1])
    if header.obsid != named:
        text = f"{path}: attribute obsid of comap is {header.obsid}, the name says {named}; rename or leave it out"
        raise BadInput(text, reason="contradicts")
    start = _EPOCH + timedelta(days=header.start_mjd)
    return [Piece(path, "level1", observation_id(header.obsid), start, header)]


def description(files: FileSet) -> Description:
    """Describe one observation."""
    header: Level1Header = files.pieces[0].header
    length = timedelta(days=header.end_mjd - header.start_mjd, seconds=SAMPLE_S)
    return Description(
        id=files.id,
        start=files.start,
        end=files.start + length,
        integrations=header.samples,
        integration_s=SAMPLE_S,
        ra_deg=float(np.nan_to_num(header.ra_deg)),
        dec_deg=float(np.nan_to_num(header.dec_deg)),
        source=header.source,
        figures=(
            judge("ingest.feeds", float(len(header.feeds))),
            judge("ingest.integrations", float(header.samples)),
        ),
    )
