"""What goes into a map: time streams, pixels and weights of every observation, feed and scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from contimg.errors import BadInput
from contimg.instruments.comap import grids
from contimg.instruments.comap.pointing import to_galactic
from contimg.radio.level2 import Level2, open_level2
from contimg_comap_destripe.params import DestripeParams, MapRequest
from contimg_comap_destripe.solve import Samples

__all__ = ["Gathered", "gather"]

Floats = NDArray[np.float64]
_NEIGHBOURS = 5
_BOUND_STEP = 10
"""Every so many samples make the bounds of a dynamic grid."""


@dataclass
class Gathered:
    """Data of all observations, in their order."""

    grid: WCS
    samples: Samples
    places: NDArray[np.int64]
    """Number in the grid of each hit pixel, rising, (pixel,)."""
    obsids: list[str] = field(default_factory=list)
    """Observations with data."""
    left_out: list[str] = field(default_factory=list)
    """Sentences."""
    source: str = ""
    frequency_ghz: tuple[float, float] = (float("nan"), float("nan"))
    """Centre and bandwidth."""
    mjd: tuple[float, float] = (float("nan"), float("nan"))
    """First and last."""
    spikes: int = 0


@dataclass
class _Pieces:
    data: list[NDArray[np.float32]] = field(default_factory=list)
    local: list[NDArray[np.int32]] = field(default_factory=list)
    unique: list[NDArray[np.int64]] = field(default_factory=list)
    weight: list[Floats] = field(default_factory=list)


def gather(
    paths: Sequence[tuple[str, Path]],
    wanted: MapRequest,
    params: DestripeParams,
    report: Callable[[int, int, str], None],
) -> Gathered:
    """Read what a map needs.

    Parameters
    ----------
    paths
        Observation and level-2 file.
    wanted, params
        The map and what all maps share.
    report
        Called with done, total, what.

    Raises
    ------
    BadInput
        If nothing can be used; the reasons are named.
    BadConfig
        If the grid is unknown or too large.
    """
    grid = _dynamic(paths, wanted) if wanted.wcs == "dynamic" else grids.named(wanted.wcs)
    pieces, sources = _Pieces(), []
    found = Gathered(grid, _no_samples(wanted), np.zeros(0, np.int64))
    for number, (obsid, path) in enumerate(paths):
        with open_level2(path) as level2:
            reason = _one(level2, wanted, params, grid, pieces, found)
            sources.append(level2.attribute("source").split(",")[0])
            if not reason:
                found.obsids.append(obsid)
                found.frequency_ghz = level2.frequency_ghz(wanted.band)
                mjd = level2.mjd
                found.mjd = float(np.fmin(found.mjd[0], mjd[0])), float(np.fmax(found.mjd[1], mjd[-1]))
        if reason:
            found.left_out.append(f"observation {obsid}: {reason}")
        report(number + 1, len(paths), "observations read")
    if not pieces.data:
        raise BadInput(f"no data for map {wanted.name}, band {wanted.band}: {'; '.join(found.left_out[:5])}")
    found.source = sources[0] if len(set(sources)) == 1 else "mixed"
    found.places = np.unique(np.concatenate(pieces.unique))
    found.samples = _joined(pieces, found.places, wanted.offset_length)
    return found


def _no_samples(wanted: MapRequest) -> Samples:
    return Samples(np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(0), wanted.offset_length, 0)


def _joined(pieces: _Pieces, places: NDArray[np.int64], length: int) -> Samples:
    """Put the pieces together; they are given up one by one, so that nothing is there twice."""
    total = sum(len(piece) for piece in pieces.data)
    data, pixel = np.empty(total, np.float32), np.empty(total, np.int32)
    begin = 0
    pieces.data.reverse()
    pieces.local.reverse()
    for unique in pieces.unique:
        mine, local = pieces.data.pop(), pieces.local.pop()
        table = np.append(np.searchsorted(places, unique), -1).astype(np.int32)
        data[begin : begin + len(mine)], pixel[begin : begin + len(mine)] = mine, table[local]
        begin += len(mine)
    return Samples(data, pixel, np.concatenate(pieces.weight), length, len(places))


def _one(
    level2: Level2, wanted: MapRequest, params: DestripeParams, grid: WCS, pieces: _Pieces, found: Gathered
) -> str:
    """Add an observation; return why nothing of it is used."""
    reasons: dict[str, int] = {}
    used = 0
    mjd = level2.mjd
    for feed in sorted(set(wanted.feeds) & set(level2.feeds)):
        rms = level2.noise(wanted.tod, feed, wanted.band)
        good = rms[np.isfinite(rms) & (rms > 0)]
        level = float(np.median(good)) if good.size else float("nan")
        for start, stop in level2.scans.tolist():
            span = slice(start, stop - (stop - start) % wanted.offset_length)
            reason = _scan(level2, wanted, params, (feed, span, level), mjd, grid, pieces, found)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
            used += not reason
    if used:
        return ""
    return ", ".join(reasons) or f"has none of feeds {list(wanted.feeds)}"


def _scan(
    level2: Level2,
    wanted: MapRequest,
    params: DestripeParams,
    which: tuple[int, slice, float],
    mjd: Floats,
    grid: WCS,
    pieces: _Pieces,
    found: Gathered,
) -> str:
    """Add a scan; return why it is not used."""
    feed, span, rms = which
    if span.stop <= span.start:
        return f"scans shorter than an offset of {wanted.offset_length} samples"
    if not 0 < rms <= params.max_rms_k:
        return f"noise {rms:.3g} K is not in (0, {params.max_rms_k:g}]"
    data = level2.tod(wanted.tod, feed, wanted.band, span)
    good = np.isfinite(data)
    if not good.any():
        return f"{wanted.tod} is empty in feed {feed}"
    data = np.where(good, data - np.median(data[good]), np.float32(0.0)).astype(np.float32)
    spikes = np.abs(data - median_filter(data, _NEIGHBOURS, mode="nearest")) > params.spike_sigma * rms
    found.spikes += int(np.count_nonzero(spikes & good))
    place = grids.pixels(grid, *to_galactic(mjd[span], *level2.pointing(feed, span)))
    used = good & ~spikes & (place >= 0)
    if not used.any():
        return "no sample on the grid"
    unique, inverse = np.unique(place[used], return_inverse=True)
    local = np.full(len(data), len(unique), np.int32)
    local[used] = inverse
    pieces.data.append(data)
    pieces.local.append(local)
    pieces.unique.append(unique)
    pieces.weight.append(np.full(len(data) // wanted.offset_length, 1.0 / rms**2))
    return ""


def _dynamic(paths: Sequence[tuple[str, Path]], wanted: MapRequest) -> WCS:
    """Return a grid around all scans of all feeds."""
    corners: list[tuple[float, float]] = []
    for _, path in paths:
        with open_level2(path) as level2:
            mjd = level2.mjd
            for feed in sorted(set(wanted.feeds) & set(level2.feeds)):
                for start, stop in level2.scans.tolist():
                    thin = slice(start, stop, _BOUND_STEP)
                    glon, glat = to_galactic(mjd[thin], *level2.pointing(feed, thin))
                    first = corners[0][0] if corners else glon[0]
                    near = first + (glon - first + 180.0) % 360.0 - 180.0
                    corners += [(near.min(), glat.min()), (near.max(), glat.max())]
    if not corners:
        raise BadInput(f"no scan of feeds {list(wanted.feeds)} in {len(paths)} observations; name other feeds")
    glon, glat = np.array(corners).T
    return grids.around(glon, glat, wanted.cell_deg, wanted.padding_deg)
