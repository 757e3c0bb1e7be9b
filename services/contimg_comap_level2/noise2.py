"""NoiseStatsLevel2: white and red noise of each bin and scan by the likelihood of Whittle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import prev_fast_len
from scipy.ndimage import median_filter
from scipy.optimize import minimize

from contimg.instruments.comap.modules import NoiseArgs
from contimg.instruments.comap.site import BINS, FEEDS, SAMPLE_S
from contimg.models.quality import judge
from contimg_comap_level2.kernels import CLIP, pair_rms
from contimg_comap_level2.work import Module, Work

__all__ = ["NoiseFit", "NoiseStatsLevel2", "fit_noise", "without_spikes"]

Floats = NDArray[np.float64]
_BINS, _SKIPPED = 100, 3
"""Logarithmic bins of the spectrum; modes at its low end that a trend has spoilt."""
_REFERENCE_HZ = 0.1
_ALPHA = (-4.0, -0.2)
_WORTH = 6.0
"""Red noise counts when it makes the likelihood better by this (two more parameters)."""
_SPIKE, _WINDOW, _LEAST_GOOD = 5.0, 51, 0.98


@dataclass(frozen=True)
class NoiseFit:
    """M(f) = sigma_white² + sigma_red² (f / 0.1 Hz)^alpha per sample."""

    sigma_white: float
    """[K]."""
    sigma_red: float
    """[K]; 0: none is seen."""
    alpha: float
    """A pure number; NaN: no red noise."""


_NOTHING = NoiseFit(float("nan"), float("nan"), float("nan"))


def _spectrum(series: Floats, sample_s: float) -> tuple[Floats, Floats, Floats]:
    """Return frequency, power and number of modes of the bins: trend removed, Hann taper."""
    n = prev_fast_len(len(series), real=True)
    series = series[:n]
    t = np.linspace(-1.0, 1.0, n)
    centred = series - series.mean()
    centred = centred - t * (centred @ t) / (t @ t)
    taper = np.hanning(n)
    power = np.abs(np.fft.rfft(centred * taper)) ** 2 / np.sum(taper**2)
    f = np.fft.rfftfreq(n, sample_s)
    f, power = f[_SKIPPED + 1 : n // 2], power[_SKIPPED + 1 : n // 2]
    edges = np.geomspace(f[0], f[-1] * 1.0001, _BINS + 1)
    place = np.searchsorted(edges, f, side="right") - 1
    count = np.bincount(place, minlength=_BINS).astype(float)
    used = count > 0
    sums = [np.bincount(place, values, _BINS)[used] / count[used] for values in (f, power)]
    return sums[0], sums[1], count[used]


def fit_noise(series: Floats, sample_s: float = SAMPLE_S) -> NoiseFit:
    """Fit white and red noise to a series without gaps.

    Parameters
    ----------
    series
        (time,) [K].
    sample_s
        Length of a sample [s].
    """
    if len(series) < 64 or not np.any(np.diff(series)):
        return _NOTHING
    f, power, count = _spectrum(series, sample_s)
    log_f = np.log(f / _REFERENCE_HZ)
    white = float(np.sum(count * power) / np.sum(count))
    alone = float(np.sum(count * (np.log(white) + power / white)))

    def loss(p: Floats) -> tuple[float, Floats]:
        floor, red = np.exp(2 * p[0]), np.exp(2 * p[1] + p[2] * log_f)
        model = floor + red
        slope = count * (1.0 - power / model) / model
        gradient = np.array([2 * floor * slope.sum(), 2 * (red * slope).sum(), (red * log_f * slope).sum()])
        return float(np.sum(count * (np.log(model) + power / model))), gradient

    high = f > 0.5 * f[-1]
    start_white = 0.5 * np.log(np.sum((count * power)[high]) / np.sum(count[high]))
    near = np.argmin(np.abs(log_f))
    start_red = 0.5 * np.log(max(float(power[max(0, near - 2) : near + 3].mean()), 1e-6 * white))
    middle = 0.5 * np.log(white)
    bounds = [(middle - 12, middle + 3), (middle - 12, middle + 12), _ALPHA]
    found = minimize(loss, [start_white, start_red, -1.5], jac=True, method="L-BFGS-B", bounds=bounds)
    if alone - float(found.fun) < _WORTH:
        return NoiseFit(float(np.sqrt(white)), 0.0, float("nan"))
    if not np.all(np.isfinite(found.x)):
        return _NOTHING
    return NoiseFit(float(np.exp(found.x[0])), float(np.exp(found.x[1])), float(found.x[2]))


def without_spikes(series: NDArray[np.float32]) -> tuple[Floats, float]:
    """Return a series whose gaps and spikes are interpolated, shape (time,) [K], and the fraction that was good."""
    finite = np.isfinite(series)
    if finite.sum() < 2:
        return np.zeros(len(series)), 0.0
    place = np.arange(len(series))
    filled = np.interp(place, place[finite], series[finite].astype(np.float64))
    noise = float(pair_rms(filled[None].astype(np.float32), CLIP)[0])
    good = finite & (np.abs(filled - median_filter(filled, _WINDOW, mode="nearest")) < _SPIKE * noise)
    if good.sum() < 2:
        return filled, 0.0
    return np.interp(place, place[good], filled[good]), float(good.mean())


class NoiseStatsLevel2(Module[NoiseArgs]):
    """Fits every series of the datasets; NaN where there is no fit."""

    def run(self, work: Work) -> None:
        """Write the statistics."""
        scans = work.found_scans().tolist()
        bands = work.level1.shape[1]
        for target in self.args.target_tod_datasets:
            last = target.rpartition("/")[2]
            found = {
                what: np.full((FEEDS, bands, BINS, len(scans)), np.nan)
                for what in ("sigma_white", "sigma_red", "alpha", "auto_rms")
            }
            for _, feed in work.rows:
                for number, (start, stop) in enumerate(scans):
                    values = work.out.read(f"level2/{last}", feed - 1, slice(start, stop))
                    for where in np.ndindex(values.shape[:2]):
                        self._one(values[where], found, (feed - 1, *where, number))
            for what, array in found.items():
                unit = "" if what == "alpha" else "K"
                work.out.put(f"{self.args.output_group_name}/{last}/{what}", array, unit)
            if last == self.args.target_tod_datasets[0].rpartition("/")[2]:
                white = found["sigma_white"][np.isfinite(found["sigma_white"])]
                work.figures.append(judge("level2.sigma_white", float(np.median(white)) if white.size else None, "K"))

    @staticmethod
    def _one(series: NDArray[np.float32], found: dict[str, Floats], where: tuple[int, ...]) -> None:
        filled, good = without_spikes(series)
        if good == 0.0:
            return
        found["auto_rms"][where] = pair_rms(filled[None].astype(np.float32), CLIP)[0]
        if good >= _LEAST_GOOD:
            fit = fit_noise(filled)
            found["sigma_white"][where], found["sigma_red"][where] = fit.sigma_white, fit.sigma_red
            found["alpha"][where] = fit.alpha
