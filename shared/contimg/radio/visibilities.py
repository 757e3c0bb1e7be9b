"""What a reader hands to the flaggers and the writer: one recording in memory, in the sense of a measurement set."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORR_LETTERS", "CORR_TYPES", "Antennas", "Visibilities"]

CORR_TYPES = {-1: 5, -2: 8, -3: 6, -4: 7, -5: 9, -6: 12, -7: 10, -8: 11}
"""casacore's ``Stokes`` numbers (RR 5 … YY 12) by AIPS/pyuvdata polarization number."""

CORR_LETTERS = {5: "RR", 6: "RL", 7: "LR", 8: "LL", 9: "XX", 10: "XY", 11: "YX", 12: "YY"}


@dataclass(frozen=True)
class Antennas:
    """The antennas that have data, in the order of their index."""

    names: tuple[str, ...]
    stations: tuple[str, ...]
    itrf_m: NDArray[np.float64]
    """Shape (antennas, 3), geocentric."""
    diameter_m: NDArray[np.float64]
    """Shape (antennas,); NaN where the file does not say."""

    def __len__(self) -> int:
        return len(self.names)


@dataclass
class Visibilities:
    """One recording; rows are ordered by time, antenna1, antenna2 with antenna1 <= antenna2."""

    telescope: str
    """As the file names it."""
    antennas: Antennas
    vis: NDArray[np.complex64]
    """Shape (rows, channels, correlations)."""
    flag: NDArray[np.bool_]
    """Same shape."""
    weight: NDArray[np.float32]
    """Shape (rows, correlations): mean number of live samples per unflagged channel."""
    uvw_m: NDArray[np.float64]
    """Shape (rows, 3), sense of a measurement set."""
    time_jd: NDArray[np.float64]
    """UTC, centre of the integration."""
    interval_s: NDArray[np.float64]
    antenna1: NDArray[np.int32]
    antenna2: NDArray[np.int32]
    freq_hz: NDArray[np.float64]
    """Ascending."""
    width_hz: float
    corr_types: tuple[int, ...]
    ra_rad: float
    """ICRS phase centre."""
    dec_rad: float
    source: str
    frequency_frame: str = "TOPO"
    """``TOPO`` or ``LSRK``."""
    scan: int = 1
    app_dec_rad: float | None = None
    """Pointing of a drift recording: apparent declination of date."""
    subband_channels: int = 0
    """Channels per raw file where the band comes in equal subbands; else 0."""
    uvw_error_lambda: float | None = None
    """Largest difference of the file's uvw from the ones pyuvdata computes from its antennas."""
    not_finite: int = 0
    """Visibilities that were infinite or NaN; they are 0 and flagged now."""
    notes: list[str] = field(default_factory=list)
    """What the reader had to say, in sentences."""

    @property
    def time_index(self) -> NDArray[np.int64]:
        """Index of each row's integration."""
        return np.asarray(np.unique(self.time_jd, return_inverse=True)[1], np.int64)

    @property
    def cross(self) -> NDArray[np.bool_]:
        """Rows that are cross-correlations."""
        return np.asarray(self.antenna1 != self.antenna2)

    @property
    def start_jd(self) -> float:
        """Start of the first integration."""
        return float(self.time_jd[0] - self.interval_s[0] / 2 / 86400.0)

    @property
    def end_jd(self) -> float:
        """End of the last integration."""
        return float(self.time_jd[-1] + self.interval_s[-1] / 2 / 86400.0)
