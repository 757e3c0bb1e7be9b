"""NoiseStatsLevel1: noise of every channel in raw counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contimg.instruments.comap.modules import NoArgs
from contimg.instruments.comap.site import FEEDS
from contimg_comap_level2.work import Block, BlockModule, Work

__all__ = ["NoiseStatsLevel1"]


class NoiseStatsLevel1(BlockModule[NoArgs]):
    """Root mean square of differences of neighbouring samples inside scans."""

    def run(self, work: Work) -> None:
        """Make room."""
        _, bands, channels, _ = work.level1.shape
        self._squares: NDArray[np.float64] = np.zeros((FEEDS, bands, channels))
        self._samples = np.zeros((FEEDS, bands))

    def block(self, work: Work, block: Block) -> None:
        """Add one scan."""
        del work
        samples = block.stop - block.start
        self._squares[block.feed - 1, block.band] += samples * block.rms**2
        self._samples[block.feed - 1, block.band] += samples

    def finish(self, work: Work) -> None:
        """Write ``level1_noise_stats/auto_rms``."""
        with np.errstate(invalid="ignore", divide="ignore"):
            rms = np.sqrt(self._squares / self._samples[..., None])
        rms[rms == 0.0] = np.nan
        work.out.put("level1_noise_stats/auto_rms", rms, "counts")
