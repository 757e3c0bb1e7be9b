"""GainFilterAndBin: takes fluctuations of the gain off and averages 1024 channels into two bins per band.

Per sample and channel, y = x / m - 1 = g(t) + T(t) / m + c(t) v / m + noise, where x is the power over the gain, m its
level in the scan and v the frequency. 1 / m and v / m are projected out; what is left of a constant column is the gain:
g(f) = Fᵀ Z y(f) / (z + s² / P(f)), z = Fᵀ Z F, s² the radiometer noise of a channel, P the prior (Base: none).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.instruments.comap.modules import GainArgs
from contimg.instruments.comap.site import BINS, FEEDS, NATIVE_CHANNELS, SAMPLE_S
from contimg.models.quality import judge
from contimg_comap_level2.kernels import CLIP, pair_rms, project
from contimg_comap_level2.work import Block, BlockModule, Work

__all__ = ["GainFilterAndBin", "Sums", "channel_mask", "gain_of"]

Floats = NDArray[np.float64]
_CENTRE = (487, 537)
"""Channels of 1024 in the middle of a band that carry the clock."""
_COLDEST_K, _HOTTEST_K = 5.0, 1000.0
_MOST_LOST = 0.1
"""A channel with more missing samples is not used in the scan."""
_LEAST_RANGE_DEG = 0.1
"""Range of elevation from which on the slope with airmass is taken off."""
_MEDIAN_STEP = 4
"""Every so many samples make the level of a long scan: it needs no more than 1e-3."""


def channel_mask(channels: int, end_cut: int) -> NDArray[np.bool_]:
    """Return which channels of a band are used, shape (channel,), mask.

    Parameters
    ----------
    channels
        Channels of a band.
    end_cut
        Channels of 1024 left out at each edge.
    """
    scale = channels / NATIVE_CHANNELS
    place = (np.arange(channels) + 0.5) / scale
    inside = (place >= end_cut) & (place < NATIVE_CHANNELS - end_cut)
    return np.asarray(inside & ~((place >= _CENTRE[0]) & (place < _CENTRE[1])))


@dataclass
class Sums:
    """What is added up over the channels of all bands of a feed and scan."""

    streams: Floats
    """Sums of y, y / m, v y / m over channels, (3, time)."""
    ones: Floats
    """Sums of the same over a gain that is constant: Fᵀ F, Pᵀ F, (3,)."""
    columns: Floats
    """Pᵀ P, (2, 2)."""
    variance: float = 0.0
    """Largest radiometer variance of a channel, (Δν τ)⁻¹."""

    @classmethod
    def empty(cls, samples: int) -> Sums:
        """Return zeros for a scan of that many samples."""
        return cls(np.zeros((3, samples)), np.zeros(3), np.zeros((2, 2)))

    def add(self, streams: Floats, level: Floats, v: Floats) -> None:
        """Add the channels of a band.

        Parameters
        ----------
        streams
            Sums over its channels, (3, time), dimensionless.
        level, v
            Level of each used channel [K] and its frequency, (channel,), a pure number.
        """
        p = np.stack([1.0 / level, v / level])
        self.streams += streams
        self.ones += np.array([len(level), p[0].sum(), p[1].sum()])
        self.columns += p @ p.T


def gain_of(sums: Sums, sample_s: float, prior: tuple[float, float] | None) -> Floats:
    """Return the fluctuation of the gain.

    Parameters
    ----------
    sums
        Of all bands that are present.
    sample_s
        Length of a sample [s].
    prior
        Amplitude and exponent of P(f) = amplitude² (f / 1 Hz)^exponent per sample; none: plain least squares.

    Returns
    -------
    ndarray
        Shape (time,), dimensionless, without its mean.
    """
    n = sums.streams.shape[1]
    if sums.ones[0] < 3:
        return np.zeros(n)
    take = np.linalg.lstsq(sums.columns, sums.ones[1:], rcond=None)[0]
    z = float(sums.ones[0] - sums.ones[1:] @ take)
    left = sums.streams[0] - take @ sums.streams[1:]
    left = left - left.mean()
    if prior is None:
        return np.asarray(left / z)
    mirrored = np.concatenate([left, left[::-1]])  # the ends of a scan need not agree
    f = np.fft.rfftfreq(2 * n, sample_s)
    with np.errstate(divide="ignore"):
        power = prior[0] ** 2 * f ** prior[1]
    response = 1.0 / (z + sums.variance / power)
    response[0] = 0.0
    return np.asarray(np.fft.irfft(np.fft.rfft(mirrored) * response, 2 * n)[:n])


@dataclass
class _Scan:
    """A feed and scan whose bands are being added."""

    sums: Sums
    binned: Floats
    """(band, bin, time) [K]; NaN: no channel."""
    response: Floats
    """What the bins do when the gain changes, (band, bin) [K]."""
    span: slice

    @classmethod
    def empty(cls, bands: int, block: Block) -> _Scan:
        samples = block.stop - block.start
        binned = np.full((bands, BINS, samples), np.nan)
        return cls(Sums.empty(samples), binned, np.zeros((bands, BINS)), slice(block.start, block.stop))


class GainFilterAndBin(BlockModule[GainArgs]):
    """Gain filter and binning in one pass; bins are weighted with the noise of the scan itself."""

    def run(self, work: Work) -> None:
        """Make the time streams."""
        _, bands, channels, samples = work.level1.shape
        kwargs, args = self.args.gain_filter_kwargs, self.args
        self._mask = channel_mask(channels, args.end_cut if kwargs.end_cut is None else kwargs.end_cut)
        self._prior = (kwargs.gain_rms, kwargs.gain_alpha) if args.gain_filter_name == "GainFilterWithPrior" else None
        self._names = ("level2/binned_data", f"level2/{args.filtered_binned_data_name}")
        for name in self._names:
            work.out.stream(name, (FEEDS, bands, BINS, samples), "K")
        self._frequency = work.level1.array("spectrometer/frequency")
        self._centres = np.full((FEEDS, bands, BINS), np.nan)
        self._widths = np.full((FEEDS, bands, BINS), np.nan)
        self._factors = np.full((FEEDS, bands, len(work.found_scans())), np.nan)
        self._rms: list[float] = []
        self._gains: list[float] = []
        self._open: _Scan | None = None

    def block(self, work: Work, block: Block) -> None:
        """Add a band."""
        scan = self._open = self._open or _Scan.empty(work.level1.shape[1], block)
        first, last = work.gain_between(block.row, block.band, block.start, block.stop)
        rms = block.rms / (0.5 * (first + last))
        good = self._good(work, block, first, last, rms)
        if good.any():
            self._add(work, scan, block, np.stack([1.0 / first, 1.0 / last]), rms, good)

    def _good(self, work: Work, block: Block, first: Floats, last: Floats, rms: Floats) -> NDArray[np.bool_]:
        t_sys = np.zeros(len(first))
        if work.t_sys is not None:
            t_sys = np.median(np.nan_to_num(work.t_sys[:, block.row, block.band]), axis=0)
        usable = np.isfinite(first) & np.isfinite(last) & (first > 0) & (last > 0) & (rms > 0)
        lost = block.lost > _MOST_LOST * block.power.shape[1]
        return np.asarray(self._mask & usable & ~lost & (t_sys > _COLDEST_K) & (t_sys < _HOTTEST_K))

    def _add(self, work: Work, scan: _Scan, block: Block, scale: Floats, rms: Floats, good: NDArray[np.bool_]) -> None:
        channels = len(good)
        airmass = block.airmass - block.airmass.mean()
        lean = np.zeros(channels)
        if work.tau is not None and np.ptp(block.elevation) >= _LEAST_RANGE_DEG:
            lean = np.nan_to_num(work.tau[block.feed - 1, block.band, :, block.scan])
        factor = work.sky_factor(block.row, block.start, block.stop, float(np.median(lean[good])))
        self._factors[block.feed - 1, block.band, block.scan] = factor
        scale, rms, lean = scale / factor, rms / factor, lean / factor
        level = _levels(block.power, scale, good)
        frequency = self._frequency[block.band]
        v = (frequency - 30.0) / 4.0
        place = np.where(good, np.arange(channels) * BINS // channels, -1)
        weight = np.where(good, 1.0 / np.where(good, rms, 1.0) ** 2, 0.0)
        total = np.asarray(np.bincount(np.maximum(place, 0), weight, BINS), np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(good, weight / total[np.maximum(place, 0)], 0.0)
        inverse = np.where(good, 1.0 / level, 0.0)
        weights = np.stack([inverse, inverse**2, v * inverse**2, share]).astype(np.float32)
        base = np.stack([np.where(good, level, 0.0), lean]).astype(np.float32)
        streams = np.zeros((3 + BINS, block.power.shape[1]), np.float32)
        project(block.power, scale.astype(np.float32), base, weights, airmass.astype(np.float32), place, streams)
        scan.sums.add(streams[:3].astype(np.float64), level[good], v[good])
        width = abs(frequency[1] - frequency[0]) * 1e9
        scan.sums.variance = max(scan.sums.variance, 1.0 / (width * SAMPLE_S))
        self._bin(scan, block, streams[3:], (place, share, level, total))

    def _bin(
        self,
        scan: _Scan,
        block: Block,
        binned: NDArray[np.float32],
        channels: tuple[NDArray[np.int64], Floats, Floats, Floats],
    ) -> None:
        place, share, level, total = channels
        frequency = self._frequency[block.band]
        lost = block.holes > 0.5 * np.count_nonzero(place >= 0)
        for number in range(BINS):
            mine = place == number
            if total[number] <= 0:
                continue
            scan.binned[block.band, number] = np.where(lost, np.nan, binned[number])
            scan.response[block.band, number] = np.sum(share[mine] * level[mine])
            where = (block.feed - 1, block.band, number)
            self._centres[where] = np.sum(share[mine] * frequency[mine])
            self._widths[where] = np.count_nonzero(mine) * abs(frequency[1] - frequency[0])

    def end_scan(self, work: Work, feed: int) -> None:
        """Take the gain off and write the scan."""
        scan, self._open = self._open, None
        if scan is None:
            return
        gain = gain_of(scan.sums, SAMPLE_S, self._prior)
        binned = scan.binned - _medians(scan.binned)
        filtered = scan.binned - scan.response[..., None] * gain
        filtered -= _medians(filtered)
        for name, values in zip(self._names, (binned, filtered), strict=True):
            work.out.write(name, feed - 1, scan.span, values.astype(np.float32))
        present = [series for series in filtered.reshape(-1, len(gain)) if np.isfinite(series).any()]
        self._rms += pair_rms(np.nan_to_num(np.array(present)).astype(np.float32), CLIP).tolist() if present else []
        self._gains.append(float(gain.std()))

    def finish(self, work: Work) -> None:
        """Write the frequencies of the bins."""
        work.out.put("level2/central_freqs", self._centres, "GHz")
        work.out.put("level2/bandwidths", self._widths, "GHz")
        work.out.put("level2/vane/sky_factor", self._factors)
        work.figures.append(judge("level2.noise", float(np.median(self._rms)) if self._rms else None, "K"))
        work.figures.append(judge("level2.gain_rms", float(np.median(self._gains)) if self._gains else None))


def _medians(series: Floats) -> Floats:
    """Return medians over time without NaN, 0 where there is nothing else."""
    found = np.zeros((*series.shape[:-1], 1))
    for where in np.ndindex(series.shape[:-1]):
        good = series[where][np.isfinite(series[where])]
        found[where] = np.median(good) if good.size else 0.0
    return found


def _levels(power: NDArray[np.float32], scale: Floats, good: NDArray[np.bool_]) -> Floats:
    """Return the median of power over gain of each channel, NaN for channels that are not used [K]."""
    step = _MEDIAN_STEP if power.shape[1] > 1000 * _MEDIAN_STEP else 1
    thin = power[:, ::step] * scale.mean(axis=0).astype(np.float32)[:, None]
    half = thin.shape[1] // 2
    middle = np.partition(thin, half, axis=1)[:, half]
    return np.asarray(np.where(good, middle.astype(np.float64), np.nan))
