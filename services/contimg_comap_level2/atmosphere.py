"""AtmosphereInObservation: offset + tau / sin(elevation) of every channel and scan."""

from __future__ import annotations

import numpy as np

from contimg.instruments.comap.modules import AtmosphereArgs
from contimg.instruments.comap.site import FEEDS
from contimg.models.quality import judge
from contimg_comap_level2.kernels import airmass_sums
from contimg_comap_level2.work import Block, BlockModule, Work

__all__ = ["AtmosphereInObservation"]


class AtmosphereInObservation(BlockModule[AtmosphereArgs]):
    """Least squares with one design for all channels."""

    def run(self, work: Work) -> None:
        """Make room: NaN where nothing is fitted."""
        _, bands, channels, _ = work.level1.shape
        shape = (FEEDS, bands, channels, len(work.found_scans()))
        self._offsets = np.full(shape, np.nan)
        self._tau = work.tau = np.full(shape, np.nan)

    def block(self, work: Work, block: Block) -> None:
        """Fit one scan."""
        airmass = block.airmass
        middle = float(airmass.mean())
        with np.errstate(divide="ignore"):
            first, last = (1.0 / gain for gain in work.gain_between(block.row, block.band, block.start, block.stop))
        mean, product = airmass_sums(block.power, first, last, airmass - middle)
        slope = np.zeros(len(mean))
        if np.ptp(block.elevation) >= self.args.min_range_deg:
            slope = product / float(np.mean((airmass - middle) ** 2))
        where = (block.feed - 1, block.band, slice(None), block.scan)
        self._offsets[where] = mean - slope * middle
        self._tau[where] = slope

    def finish(self, work: Work) -> None:
        """Write ``level2/atmosphere``."""
        work.out.put("level2/atmosphere/offsets", self._offsets, "K")
        work.out.put("level2/atmosphere/tau", self._tau, "K")
        fitted = self._tau[np.isfinite(self._tau) & (self._tau != 0.0)]
        work.figures.append(judge("level2.tau", float(np.median(fitted)) if fitted.size else None, "K"))
