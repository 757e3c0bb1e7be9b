"""FindScans: which samples are scans, for all ways of observing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.instruments.comap.modules import ScanArgs
from contimg.instruments.comap.site import AMBIENT_VANE, CES_FEATURES
from contimg.models.quality import judge
from contimg.radio.level1 import Level1
from contimg_comap_level2.vane import HK_LATE_S
from contimg_comap_level2.work import Module, Work

__all__ = ["FindScans", "bits", "find_scans"]

_TRACKER = "hk/antenna0/deTracker"
_LEAST = 100
"""Shorter scans are dropped, in samples."""


def bits(features: NDArray[np.int64]) -> list[int]:
    """Return every feature bit that is set somewhere in an array of any shape, index of the bit in rising order."""
    together = int(np.bitwise_or.reduce(np.maximum(features, 0), axis=None))
    return [bit for bit in range(together.bit_length()) if together >> bit & 1]


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return edges.reshape(-1, 2).astype(np.int64)


def find_scans(level1: Level1, args: ScanArgs) -> NDArray[np.int64]:
    """Return first sample of each scan and the one after its last, shape (scan, 2), index.

    Lissajous scans by the tracker's status, cut at both ends; others by the feature bits between the vane events.

    Raises
    ------
    BadInput
        If there is no scan.
    """
    status = level1.array(f"{_TRACKER}/lissajous_status", np.int64) if level1.has(f"{_TRACKER}/utc") else np.zeros(0)
    found = _lissajous(level1, np.asarray(status), args) if np.any(status != 0) else _by_feature(level1)
    found = found[found[:, 1] - found[:, 0] >= _LEAST]
    if not len(found):
        seen = bits(level1.array("spectrometer/features", np.int64))
        text = f"{level1.path}: {_TRACKER}/lissajous_status and spectrometer/features (bits {seen}) show no scan of "
        raise BadInput(f"{text}{_LEAST} samples or more; leave the observation out")
    return found


def _lissajous(level1: Level1, status: NDArray[np.int64], args: ScanArgs) -> NDArray[np.int64]:
    utc = level1.array(f"{_TRACKER}/utc") - HK_LATE_S / 86400.0
    before = np.searchsorted(utc, level1.mjd, side="right") - 1
    scanning = (status[np.maximum(before, 0)] == args.scan_status_code) & (before >= 0)
    return np.asarray(_runs(scanning) + np.array([args.start_cut, -args.end_cut]))


def _by_feature(level1: Level1) -> NDArray[np.int64]:
    features = np.maximum(level1.array("spectrometer/features", np.int64), 0)
    vane = np.flatnonzero(features >> AMBIENT_VANE & 1)
    between = np.ones(len(features), bool)
    if len(vane):
        between[: vane[0]] = False
        between[vane[-1] + 1 :] = False
    for bit in CES_FEATURES:
        found = _runs((features >> bit & 1 == 1) & (features >> AMBIENT_VANE & 1 == 0) & between)
        if len(found):
            return found
    return np.zeros((0, 2), np.int64)


class FindScans(Module[ScanArgs]):
    """Finds the scans."""

    def run(self, work: Work) -> None:
        """Write ``level2/scan_edges``."""
        work.scans = find_scans(work.level1, self.args)
        work.out.put("level2/scan_edges", work.scans, "samples")
        length = float(np.sum(work.scans[:, 1] - work.scans[:, 0]))
        work.figures.append(judge("level2.scans", float(len(work.scans))))
        work.figures.append(judge("level2.scan_fraction", length / work.level1.shape[3]))
