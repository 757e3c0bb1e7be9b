"""What the modules of one observation share, and what a module is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadConfig
from contimg.instruments.comap.site import GROUND_FEED
from contimg.models.quality import Figure
from contimg.radio.level1 import Level1
from contimg.radio.level2 import Level2Writer
from contimg_comap_level2.kernels import CLIP, pair_rms

__all__ = ["Block", "BlockModule", "Module", "Work"]

Floats = NDArray[np.float64]
A = TypeVar("A")


@dataclass
class Work:
    """One observation at work."""

    level1: Level1
    out: Level2Writer
    log: Any
    report: Callable[[int, int, str], None]
    scans: NDArray[np.int64] | None = None
    """(scan, 2), first sample and the one after the last."""
    events: Floats | None = None
    """Middle of each vane event, (event,) [MJD]."""
    gain: Floats | None = None
    """(event, row, band, channel) [counts/K]."""
    t_sys: Floats | None = None
    """(event, row, band, channel) [K]."""
    event_airmass: Floats | None = None
    """(event, row), a pure number."""
    hot_above_k: float | None = None
    """Vane above the microwave background, when the atmosphere in front of the open vane counts [K]."""
    tau: Floats | None = None
    """Slope with airmass, (19, band, channel, scan) [K]."""
    figures: list[Figure] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """Sentences for the report."""

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Row in the file and number of every feed on the sky."""
        return [(row, feed) for row, feed in enumerate(self.level1.feeds.tolist()) if feed != GROUND_FEED]

    def found_scans(self) -> NDArray[np.int64]:
        """Return the scans, shape (scan, 2), index.

        Raises
        ------
        BadConfig
            If no module has found them.
        """
        if self.scans is None:
            raise BadConfig("the scans are not known; let FindScans stand earlier in the pipeline")
        return self.scans

    def sky_factor(self, row: int, start: int, stop: int, tau_k: float) -> float:
        """Return the true gain over that of the vane, which took the sky for the microwave background alone.

        With a slope of ``tau_k`` K per airmass at the vane's gain G: (hot − cold + G tau A) / (T_hot − T_cmb) / G.
        """
        if self.hot_above_k is None or self.event_airmass is None or self.events is None:
            return 1.0
        middle = float(self.level1.mjd[(start + stop) // 2])
        airmass = float(np.interp(middle, self.events, self.event_airmass[:, row]))
        return 1.0 + tau_k * airmass / self.hot_above_k

    def gain_between(self, row: int, band: int, start: int, stop: int) -> tuple[Floats, Floats]:
        """Return the gain of a feed and band at two samples, linear between vane events, (channel,) each [counts/K].

        Raises
        ------
        BadConfig
            If no module has measured it.
        """
        if self.gain is None or self.events is None:
            raise BadConfig("the gain is not known; let SystemTemperature stand earlier in the pipeline")
        mjd = self.level1.mjd[[start, stop - 1]]
        at = np.interp(mjd, self.events, np.arange(len(self.events)))
        low = np.minimum(at.astype(int), max(0, len(self.events) - 2))
        high = np.minimum(low + 1, len(self.events) - 1)
        part = at - low
        first, last = (
            (1 - part[i]) * self.gain[low[i], row, band] + part[i] * self.gain[high[i], row, band] for i in (0, 1)
        )
        return first, last


@dataclass(frozen=True)
class Block:
    """The raw power of one feed, band and scan."""

    row: int
    feed: int
    band: int
    scan: int
    start: int
    stop: int
    power: NDArray[np.float32]
    """(channel, time) [counts]; NaN were replaced by what stood before them."""
    holes: NDArray[np.int32]
    """Channels that had NaN, (time,)."""
    lost: NDArray[np.int64]
    """Samples that had NaN, (channel,)."""
    elevation: Floats
    """(time,) [deg]."""

    @cached_property
    def rms(self) -> Floats:
        """Return the noise of each channel in this scan without spikes, shape (channel,) [counts]."""
        return np.asarray(pair_rms(self.power, CLIP))

    @property
    def airmass(self) -> Floats:
        """Return 1 / sin(elevation), shape (time,), a pure number."""
        return np.asarray(1.0 / np.sin(np.radians(self.elevation)))


class Module(ABC, Generic[A]):
    """One step of level 2."""

    def __init__(self, args: A) -> None:
        self.args = args

    @abstractmethod
    def run(self, work: Work) -> None:
        """Do it all at its place in the list."""


class BlockModule(Module[A]):
    """A step that sees level 1 block by block; neighbours share one pass."""

    def run(self, work: Work) -> None:
        """Be ready for a pass."""

    @abstractmethod
    def block(self, work: Work, block: Block) -> None:
        """Take one block; it must not be changed."""

    def end_scan(self, work: Work, feed: int) -> None:
        """All bands of a feed and scan were seen."""

    @abstractmethod
    def finish(self, work: Work) -> None:
        """Write what was found."""
