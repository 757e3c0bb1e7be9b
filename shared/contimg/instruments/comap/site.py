"""What does not change: place, feeds, bands, feature bits and the beam."""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files

__all__ = [
    "AMBIENT_VANE",
    "BANDS",
    "BEAM_FWHM_ARCMIN",
    "BINS",
    "CES_FEATURES",
    "FEEDS",
    "GROUND_FEED",
    "HEIGHT_M",
    "LATITUDE_DEG",
    "LISSAJOUS",
    "LONGITUDE_DEG",
    "NATIVE_CHANNELS",
    "SAMPLE_S",
    "TCMB_K",
    "feed_offsets",
    "observation_id",
    "source_group",
]

LATITUDE_DEG, LONGITUDE_DEG, HEIGHT_M = 37.233889, -118.282222, 1222.0
"""The 10.4-m dish at OVRO."""
FEEDS, BANDS, BINS = 19, 4, 2
"""Feeds on the sky; bands of 2 GHz; bins of each band in level 2."""
GROUND_FEED = 20
"""Sees a load; the last entry of a file, if it is there."""
NATIVE_CHANNELS = 1024
"""Channels of a band; masks are given for so many."""
SAMPLE_S = 0.02
BEAM_FWHM_ARCMIN = 4.5
PLATE_ARCMIN_PER_MM = 0.1853
TCMB_K = 2.73
AMBIENT_VANE, LISSAJOUS = 13, 15
"""Feature bits."""
CES_FEATURES = (8, 9, 10)
"""Sky dip, raster or constant elevation, and the third that is taken for a scan."""
CALIBRATORS = frozenset({"taua", "casa", "cyga", "jupiter", "venus", "mars"})


@cache
def feed_offsets() -> dict[int, tuple[float, float]]:
    """Return offsets (cross-elevation, elevation) of each feed from the boresight, in degrees."""
    text = (files("contimg.instruments.comap") / "data" / "feeds.csv").read_text(encoding="utf-8")
    scale = PLATE_ARCMIN_PER_MM / 60.0
    rows = csv.DictReader(text.splitlines())
    return {int(row["feed"]): (float(row["x_mm"]) * scale, float(row["y_mm"]) * scale) for row in rows}


def observation_id(obsid: int) -> str:
    """Return the id of an observation: its obsid with seven digits."""
    return f"{obsid:07d}"


def source_group(source: str, comment: str = "") -> str:
    """Return the group of a source; the first rule that fits, by the name in lower case."""
    name = source.lower()
    if "sky nod" in comment.lower():
        return "SkyDip"
    if "field" in name:
        return "Galactic"
    if name in CALIBRATORS:
        return "Calibrator"
    if "fg" in name:
        return "Foreground"
    return "CO" if name.startswith("co") and name[2:3].isdigit() else "Other"
