"""The positions in the data beside the official list."""

from __future__ import annotations

import numpy as np

from contimg.errors import BadConfig
from contimg.instruments import stations, telescope_named
from contimg.radio.visibilities import Visibilities

__all__ = ["largest_error_m"]


def largest_error_m(data: Visibilities) -> float | None:
    """Return how far the worst antenna is from its official station, in metres.

    A shift common to all antennas is taken out: it does not change a baseline. None when the telescope has no
    official list or shares no antenna name with it.
    """
    try:
        official = {station.name: station.itrf_m for station in stations(telescope_named(data.telescope).key)}
    except BadConfig:
        return None
    places = [(data.antennas.itrf_m[i], official[n]) for i, n in enumerate(data.antennas.names) if n in official]
    if not places:
        return None
    offset = np.array([ours - theirs for ours, theirs in places])
    return float(np.linalg.norm(offset - np.median(offset, axis=0), axis=1).max())
