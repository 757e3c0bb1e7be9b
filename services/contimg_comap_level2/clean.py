"""PostBinCleaning: takes a running median and what is left of the atmosphere off; keeps what it replaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from contimg.instruments.comap.modules import PostBinArgs
from contimg_comap_level2.kernels import CLIP, pair_rms
from contimg_comap_level2.work import Module, Work

__all__ = ["PostBinCleaning", "clean", "running_median"]

_LEAST_RANGE_DEG = 0.2


def running_median(series: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return the median of ``length`` samples around each one, shape (time,), in the unit of the series [K].

    Beyond the ends the first and last samples go on.
    """
    return np.asarray(median_filter(series, length, mode="nearest"), np.float32)


def clean(
    series: NDArray[np.float32], elevation: NDArray[np.float64], length: int, outlier_sigma: float
) -> tuple[NDArray[np.float32], bool]:
    """Return a series without baseline, and whether it was long enough for the running median.

    Parameters
    ----------
    series
        (time,) [K]; NaN stay NaN.
    elevation
        (time,) in degrees.
    length
        Samples of the running median.
    outlier_sigma
        Samples further from the baseline, in units of the noise, have no part in the fit of the atmosphere.
    """
    good = np.isfinite(series)
    if not good.any():
        return series, True
    filled = np.where(good, series, np.float32(np.median(series[good])))
    is_long = int(good.sum()) > length
    baseline = running_median(filled, length) if is_long else np.full_like(filled, np.median(filled))
    noise = float(pair_rms((filled - baseline)[None], CLIP)[0])
    inside = good & (np.abs(filled - baseline) <= outlier_sigma * noise)
    filled = filled - _atmosphere(filled, elevation, inside if inside.any() else good)
    if is_long:
        filled = filled - running_median(filled, length)
    return np.where(good, filled, np.float32(np.nan)), is_long


def _atmosphere(
    series: NDArray[np.float32], elevation: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the fit of offset + tau / sin(elevation), or the median where the elevation hardly changes."""
    airmass = 1.0 / np.sin(np.radians(elevation))
    if np.ptp(elevation) < _LEAST_RANGE_DEG:
        return np.full_like(series, np.median(series[inside]))
    own = airmass[inside] - airmass[inside].mean()
    level = float(series[inside].mean(dtype=np.float64))
    slope = float(np.dot(own, series[inside]) / np.dot(own, own)) if len(own) > 1 else 0.0
    return np.asarray(level + slope * (airmass - airmass[inside].mean()), np.float32)


class PostBinCleaning(Module[PostBinArgs]):
    """Cleans one dataset; what it was before lies below ``output_group``."""

    def run(self, work: Work) -> None:
        """Replace the dataset."""
        last = self.args.target_dataset.rpartition("/")[2]
        name, kept = f"level2/{last}", f"{self.args.output_group}/{last}"
        work.out.stream(kept, work.out.file[name].shape, "K")
        short = 0
        for row, feed in work.rows:
            elevation = work.level1.pointing(row)[1]
            for start, stop in work.found_scans().tolist():
                before = work.out.read(name, feed - 1, slice(start, stop))
                work.out.write(kept, feed - 1, slice(start, stop), before)
                cleaned = np.empty_like(before)
                for where in np.ndindex(before.shape[:2]):
                    args = (elevation[start:stop], self.args.medfilt_length, self.args.outlier_sigma)
                    cleaned[where], is_long = clean(before[where], *args)
                    short += not is_long
                work.out.write(name, feed - 1, slice(start, stop), cleaned)
        work.out.mark(self.args.output_group, {"status": "complete", "medfilt_length": self.args.medfilt_length})
        if short:
            length = self.args.medfilt_length
            work.told.append(f"PostBinCleaning: {short} series of at most {length} samples lost median and slope only")
