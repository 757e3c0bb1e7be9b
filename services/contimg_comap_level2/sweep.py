"""One pass over level 1 for neighbouring modules: feed by feed, scan by scan, band by band, each number read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from contimg_comap_level2.kernels import mend
from contimg_comap_level2.work import Block, BlockModule, Work

__all__ = ["sweep"]


def sweep(work: Work, modules: Sequence[BlockModule[Any]]) -> None:
    """Give every block to every module, in their order.

    Raises
    ------
    contimg.errors.ContimgError
        Whatever a module or the reader raises.
    """
    scans = work.found_scans()
    _, bands, channels, _ = work.level1.shape
    for module in modules:
        module.run(work)
    buffer = np.empty(channels * int(np.max(scans[:, 1] - scans[:, 0])), np.float32)
    total = len(work.rows) * len(scans)
    for place, (row, feed) in enumerate(work.rows):
        elevation = work.level1.pointing(row)[1]
        for scan, (start, stop) in enumerate(scans.tolist()):
            for band in range(bands):
                power = work.level1.read(buffer, row, band, start, stop)
                holes = np.zeros(stop - start, np.int32)
                lost = mend(power, holes)
                block = Block(row, feed, band, scan, start, stop, power, holes, lost, elevation[start:stop])
                for module in modules:
                    module.block(work, block)
            for module in modules:
                module.end_scan(work, feed)
            work.report(place * len(scans) + scan + 1, total, "scans of all feeds")
    for module in modules:
        module.finish(work)
