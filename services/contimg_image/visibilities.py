"""Reading a calibrated measurement set: Stokes I, averaged in frequency, block of rows by block of rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, SkyCoord
from casacore.tables import table
from numpy.typing import NDArray

from contimg.errors import BadInput, DataQuality
from contimg.radio.telescopes import Telescope, telescope_named
from contimg_image.channels import average_width, channel_bins, selected_channels

__all__ = ["Scene", "Visibilities", "average", "read_scene", "read_visibilities"]

_BLOCK_SAMPLES = 16_000_000
"""Complex samples per block: 128 MB."""
_SECONDS_PER_DAY = 86400.0
_MJD = 2400000.5


@dataclass(frozen=True)
class Scene:
    """What the measurement set says beside its visibilities."""

    path: Path
    telescope: Telescope
    source: str
    field_id: int
    ra_rad: float
    """ICRS right ascension of the phase centre."""
    dec_rad: float
    """ICRS declination of the phase centre."""
    antennas_m: NDArray[np.float64]
    """Positions of all listed antennas, ITRF, shape (A, 3) [m]."""
    freq_hz: NDArray[np.float64]
    """Centres of all channels, shape (N,)."""
    width_hz: float
    """Width of one channel."""


@dataclass(frozen=True)
class Visibilities:
    """Stokes I ready to grid; rows without any weight are left out."""

    uvw_m: NDArray[np.float64]
    """Shape (R, 3), in the sense of a measurement set."""
    freq_hz: NDArray[np.float64]
    """Shape (C,)."""
    data: NDArray[np.complex64]
    """Shape (R, C) [Jy]."""
    weight: NDArray[np.float32]
    """Shape (R, C) [Jy⁻²]: inverse variance of the real part; 0: flagged."""
    time_jd: NDArray[np.float64]
    """Centre of the integration, UTC, shape (R,)."""
    antenna1: NDArray[np.int32]
    antenna2: NDArray[np.int32]
    interval_s: float
    """Length of an integration [s]."""
    band_hz: tuple[float, float]
    """Outer edges of the channels used."""

    @property
    def mean_freq_hz(self) -> float:
        """Frequency averaged with the weights."""
        per_channel = self.weight.sum(axis=0, dtype=np.float64)
        return float((per_channel * self.freq_hz).sum() / per_channel.sum())

    @property
    def span_jd(self) -> tuple[float, float]:
        """Start of the first and end of the last integration, UTC."""
        half = self.interval_s / _SECONDS_PER_DAY / 2
        return float(self.time_jd.min()) - half, float(self.time_jd.max()) + half


@nb.njit(cache=True, nogil=True)
def average(data, flag, weight, bins, total, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a numba kernel
    """Average XX and YY to Stokes I, and channels to bins.

    I = (XX + YY) / 2 needs both; the variance of its real part is (1/w_xx + 1/w_yy) / 4. ``total`` and ``sums``,
    shape (R, C), receive the weighted mean and the sum of the weights.
    """
    last = data.shape[2] - 1
    for r in range(data.shape[0]):
        for c in range(data.shape[1]):
            to = bins[c]
            if to < 0 or flag[r, c, 0] or flag[r, c, last]:
                continue
            k = min(c, weight.shape[1] - 1)
            first, second = weight[r, k, 0], weight[r, k, last]
            value = 0.5 * (data[r, c, 0] + data[r, c, last])
            if first <= 0 or second <= 0 or not (np.isfinite(value.real) and np.isfinite(value.imag)):
                continue
            w = 4 * first * second / (first + second)
            total[r, to] += w * value
            sums[r, to] += w
        for to in range(total.shape[1]):
            if sums[r, to] > 0:
                total[r, to] /= sums[r, to]


def read_scene(ms: Path) -> Scene:
    """Read antennas, frequencies and phase centre of a measurement set with one spectral window and one field.

    Raises
    ------
    BadInput
        If it is no measurement set, or has several spectral windows, fields or an unknown telescope.
    """
    if not (ms / "table.dat").is_file():
        raise BadInput(f"{ms} is no measurement set: it has no table.dat; run stage apply for this observation again")
    with _opened(ms) as main:
        field_ids = np.unique(main.getcol("FIELD_ID"))
    with _opened(ms / "SPECTRAL_WINDOW") as spw:
        _one(ms, "spectral windows", spw.nrows())
        freq, width = spw.getcell("CHAN_FREQ", 0), spw.getcell("CHAN_WIDTH", 0)
    _one(ms, "fields with data", len(field_ids))
    with _opened(ms / "FIELD") as field:
        ra, dec = _icrs(ms, field, int(field_ids[0]))
        source = str(field.getcell("NAME", int(field_ids[0])))
    with _opened(ms / "OBSERVATION") as observation:
        telescope = telescope_named(str(observation.getcell("TELESCOPE_NAME", 0)))
    with _opened(ms / "ANTENNA") as antenna:
        positions = antenna.getcol("POSITION")
    return Scene(ms, telescope, source, int(field_ids[0]), ra, dec, positions, np.asarray(freq), float(abs(width[0])))


def read_visibilities(
    scene: Scene,
    *,
    channels: str = "",
    channel_average: int = 0,
    min_uv_lambda: float = 0.0,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> Visibilities:
    """Read Stokes I of all cross-correlations, averaged in frequency.

    Parameters
    ----------
    scene
        The measurement set, see :func:`read_scene`.
    channels
        Selection like ``4~6;50~59``; empty: all.
    channel_average
        Channels per average; 0: see :func:`contimg_image.channels.average_width`.
    min_uv_lambda
        Visibilities on shorter baselines are left out [wavelengths].
    report
        Told after each block: rows done, rows in all, what.

    Raises
    ------
    BadInput
        If a column is missing or correlations are not two or four.
    DataQuality
        If nothing unflagged remains.
    """
    ranges = selected_channels(channels, len(scene.freq_hz))
    used = np.concatenate([np.asarray(each) for each in ranges])
    width = channel_average or average_width(
        scene.width_hz, float(scene.freq_hz[used].mean()), _rms_baseline(scene.antennas_m), scene.telescope.dish_m
    )
    bins = channel_bins(ranges, width, len(scene.freq_hz))
    freq = np.array([scene.freq_hz[bins == k].mean() for k in range(bins.max() + 1)])
    with _opened(scene.path) as main:
        _check_columns(scene.path, main)
        data, weight = _read_blocks(main, bins, len(freq), report)
        uvw, times = main.getcol("UVW"), main.getcol("TIME") / _SECONDS_PER_DAY + _MJD
        first, second = main.getcol("ANTENNA1"), main.getcol("ANTENNA2")
        interval = float(np.median(main.getcol("INTERVAL")))
    if min_uv_lambda > 0:
        weight[np.hypot(uvw[:, 0], uvw[:, 1])[:, None] * freq / 299792458.0 < min_uv_lambda] = 0
    keep = (first != second) & (weight.sum(axis=1) > 0)
    if not keep.any():
        raise DataQuality(
            f"{scene.path} has no unflagged visibility in channels {channels or 'all'!r}, nothing to image"
        )
    edges = (
        float(scene.freq_hz[used].min()) - scene.width_hz / 2,
        float(scene.freq_hz[used].max()) + scene.width_hz / 2,
    )
    return Visibilities(
        uvw[keep], freq, data[keep], weight[keep], times[keep], first[keep], second[keep], interval, edges
    )


def _read_blocks(
    main: Any, bins: NDArray[np.int32], count: int, report: Callable[[int, int, str], None]
) -> tuple[NDArray[np.complex64], NDArray[np.float32]]:
    rows, (channels, corrs) = main.nrows(), main.getcell("DATA", 0).shape
    block = max(1, _BLOCK_SAMPLES // (channels * corrs))
    total = np.zeros((rows, count), np.complex64)
    sums = np.zeros((rows, count), np.float32)
    spectrum = "WEIGHT_SPECTRUM" in main.colnames() and main.iscelldefined("WEIGHT_SPECTRUM", 0)
    for start in range(0, rows, block):
        n = min(block, rows - start)
        weight = main.getcol("WEIGHT_SPECTRUM" if spectrum else "WEIGHT", start, n)
        flag = main.getcol("FLAG", start, n) | main.getcol("FLAG_ROW", start, n)[:, None, None]
        here = slice(start, start + n)
        data = main.getcol("DATA", start, n)
        average(data, flag, weight if spectrum else weight[:, None, :], bins, total[here], sums[here])
        report(start + n, rows, "rows read")
    return total, sums


def _opened(path: Path) -> AbstractContextManager[Any]:
    return closing(table(str(path), ack=False, lockoptions="usernoread"))


def _one(ms: Path, what: str, count: int) -> None:
    if count != 1:
        raise BadInput(f"{ms} has {count} {what}, the imager needs exactly 1; split it first")


def _check_columns(ms: Path, main: Any) -> None:
    missing = {"DATA", "FLAG", "FLAG_ROW", "WEIGHT", "UVW", "TIME"} - set(main.colnames())
    if missing:
        raise BadInput(f"{ms} lacks column {min(missing)}; run stage apply for this observation again")
    if main.nrows() == 0:
        raise DataQuality(f"{ms} has no rows, nothing to image")
    corrs = main.getcell("DATA", 0).shape[1]
    if corrs not in {2, 4}:
        raise BadInput(f"{ms} has {corrs} correlations, Stokes I needs 2 (XX, YY or RR, LL) or all 4")


def _icrs(ms: Path, field: Any, row: int) -> tuple[float, float]:
    """Phase centre as ICRS; a J2000 (FK5) one is turned."""
    ra, dec = np.asarray(field.getcell("PHASE_DIR", row)).reshape(-1)[:2]
    frame = str(field.getcolkeyword("PHASE_DIR", "MEASINFO").get("Ref", "J2000"))
    if frame == "ICRS":
        return float(ra), float(dec)
    if frame != "J2000":
        raise BadInput(f"{ms}/FIELD gives PHASE_DIR in {frame}, the imager needs ICRS or J2000; convert it anew")
    place = SkyCoord(ra * u.rad, dec * u.rad, frame="fk5").transform_to(ICRS())
    return float(place.ra.rad), float(place.dec.rad)


def _rms_baseline(antennas_m: NDArray[np.float64]) -> float:
    """Root mean square length over all pairs: twice the variance of the positions, by pairs."""
    return float(np.sqrt(2 * antennas_m.var(axis=0).sum()))
