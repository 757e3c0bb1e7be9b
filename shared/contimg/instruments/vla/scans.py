"""The scans of a UVFITS file as observations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contimg.errors import BadInput
from contimg.models.instrument import FileSet, Piece
from contimg.models.observation import Description
from contimg.models.quality import judge
from contimg.radio import coordinates
from contimg.radio.telescopes import Telescope
from contimg.radio.uvfits.scans import Scan, scans

__all__ = ["SCAN_GAP_S", "description", "pieces_of"]

SCAN_GAP_S = 300.0
"""A longer pause between integrations starts a new scan [s]."""


def pieces_of(path: Path, telescope: Telescope) -> Sequence[Piece]:
    """Return one piece per scan.

    Raises
    ------
    BadInput
        If the file cannot be used or is of another telescope.
    """
    found = scans(path, SCAN_GAP_S)
    foreign = next((scan for scan in found if not telescope.is_named(scan.telescope)), None)
    if foreign is not None:
        text = f"{path} is of telescope {foreign.telescope!r}, which no instrument here knows; install its instrument"
        raise BadInput(text, reason="unknown-telescope")
    return [_piece(path, scan) for scan in found]


def _piece(path: Path, scan: Scan) -> Piece:
    return Piece(path, f"scan-{scan.number}", coordinates.isot(scan.start_jd), coordinates.utc(scan.start_jd), scan)


def description(files: FileSet, telescope: Telescope) -> Description:
    """Describe one scan."""
    scan: Scan = files.pieces[0].header
    dec_deg = scan.app_dec_deg(telescope)
    return Description(
        id=files.id,
        start=coordinates.to_ms(scan.start_jd),
        end=coordinates.to_ms(scan.end_jd),
        integrations=scan.integrations,
        integration_s=scan.integration_s,
        ra_deg=scan.ra_deg,
        dec_deg=dec_deg,
        role=scan.role,
        source=scan.source,
        scan=scan.number,
        figures=(judge("ingest.dec", dec_deg, "deg"), judge("ingest.integrations", float(scan.integrations))),
    )
