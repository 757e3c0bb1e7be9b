"""The recordings inside a UVFITS file of a pointed array: one per scan, read from its random parameters alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import FK4, FK5, SkyCoord
from astropy.io import fits

from contimg.errors import BadInput
from contimg.models.observation import Role
from contimg.radio import calibrators, coordinates, fluxscale
from contimg.radio.rawfile import FIRST_JD, LAST_JD, LONGEST_S, SHORTEST_S, bounded, check_file
from contimg.radio.telescopes import Telescope

__all__ = ["Scan", "opened", "role_of", "scans", "utc_offset_s"]

DAY_S = 86400.0


@dataclass(frozen=True)
class Scan:
    """One stretch of integrations on one source."""

    number: int
    """Counted from 1 through the file."""
    source: str
    ra_deg: float
    dec_deg: float
    """ICRS."""
    start_jd: float
    end_jd: float
    """UTC, edges of the first and last integration."""
    integrations: int
    integration_s: float
    telescope: str
    """As the file names it."""

    def app_dec_deg(self, telescope: Telescope) -> float:
        """Return the apparent declination of the source at mid-time, what the dishes point at [deg]."""
        mid = (self.start_jd + self.end_jd) / 2
        _, dec = coordinates.hour_angle_dec(np.radians(self.ra_deg), np.radians(self.dec_deg), mid, telescope)
        return float(np.degrees(dec))

    @property
    def role(self) -> Role:
        """Why it was observed."""
        return role_of(self.source, self.ra_deg, self.dec_deg)


def role_of(source: str, ra_deg: float, dec_deg: float, radius_arcsec: float = 30.0) -> Role:
    """Return bandpass for a primary flux calibrator, gain for a listed calibrator at that place, else target."""
    if fluxscale.is_primary(source):
        return Role.BANDPASS
    listed = calibrators.calibrators()
    ra, dec = (np.radians([getattr(c, name) for c in listed]) for name in ("ra_deg", "dec_deg"))
    distance = coordinates.separation(np.radians(ra_deg), np.radians(dec_deg), ra, dec)
    return Role.GAIN if np.degrees(np.min(distance)) * 3600 <= radius_arcsec else Role.TARGET


def utc_offset_s(antennas: fits.BinTableHDU) -> float:
    """Return what to subtract from the file's times to get UTC: casacore and AIPS may write TAI (``IATUTC``)."""
    system = str(antennas.header.get("TIMESYS", antennas.header.get("TIMSYS", "UTC"))).strip().upper()
    return float(antennas.header.get("IATUTC", 0.0)) if system in {"TAI", "IAT"} else 0.0


def _sources(hdus: fits.HDUList) -> dict[int, tuple[str, float, float]]:
    """Return name and ICRS position (degrees) of the sources by their number in the file; 0 for a file with one."""
    if "AIPS SU" not in hdus:
        head = hdus[0].header
        axes = {str(head.get(f"CTYPE{i}")).strip(): head.get(f"CRVAL{i}") for i in range(2, head["NAXIS"] + 1)}
        ra, dec = _icrs(axes["RA"], axes["DEC"], head.get("EPOCH", 2000.0))
        return {0: (str(head.get("OBJECT", "")).strip(), ra, dec)}
    rows = hdus["AIPS SU"].data
    return {
        int(row["ID. NO."]): (str(row["SOURCE"]).strip(), *_icrs(row["RAEPO"], row["DECEPO"], row["EPOCH"]))
        for row in rows
    }


def _icrs(ra_deg: float, dec_deg: float, epoch: float) -> tuple[float, float]:
    frame = FK4(equinox="B1950") if epoch == 1950.0 else FK5(equinox="J2000")
    place = SkyCoord(ra_deg * u.deg, dec_deg * u.deg, frame=frame).icrs
    return float(place.ra.deg), float(place.dec.deg)


def _rows(hdus: fits.HDUList) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Julian date, source number and integration time (s) of the groups."""
    data = hdus[0].data
    names = [name.upper() for name in data.parnames]
    jd = np.asarray(data.par("DATE"), float)
    source = np.asarray(data.par("SOURCE"), int) if "SOURCE" in names else np.zeros(len(jd), int)
    if "INTTIM" in names:
        return jd, source, np.asarray(data.par("INTTIM"), float)
    steps = np.diff(np.unique(jd)) * DAY_S
    return jd, source, np.full(len(jd), float(np.median(steps)) if steps.size else 0.0)


def _split(jd: np.ndarray, source: np.ndarray, gap_s: float) -> Iterator[np.ndarray]:
    """Yield the rows of each scan in time order."""
    order = np.argsort(jd, kind="stable")
    jumps = (np.diff(jd[order]) * DAY_S > gap_s) | (np.diff(source[order]) != 0)
    yield from np.split(order, np.nonzero(jumps)[0] + 1)


def scans(path: Path, gap_s: float = 300.0) -> tuple[Scan, ...]:
    """List the scans of a UVFITS file.

    Parameters
    ----------
    path
        File with random groups, an ``AIPS AN`` table and, for several sources, an ``AIPS SU`` table.
    gap_s
        A longer pause between two integrations starts a new scan, in seconds.

    Raises
    ------
    BadInput
        If the file is empty, truncated, no UVFITS, or has times or lengths out of bounds.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    with opened(path) as hdus:
        return tuple(_scans(path, hdus, gap_s))


@contextmanager
def opened(path: Path) -> Iterator[fits.HDUList]:
    """Open a UVFITS file; what reading it raises inside the ``with`` becomes BadInput.

    Raises
    ------
    BadInput
        If the file is empty, truncated or no UVFITS.
    OSError
        If it cannot be opened: that is not the file's fault and may pass.
    """
    check_file(path)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with fits.open(path, memmap=True) as hdus:
                if not isinstance(hdus[0], fits.GroupsHDU) or "AIPS AN" not in hdus:
                    raise ValueError("no random groups with an AIPS AN table")
                yield hdus
        except (OSError, TypeError, ValueError, KeyError, IndexError) as error:
            cut = next((str(warning.message) for warning in told if "truncated" in str(warning.message)), "")
            if cut:
                raise BadInput(f"{path} is truncated ({cut}); copy it again", reason="truncated") from error
            raise BadInput(f"{path} cannot be read as UVFITS ({error}); copy it again or remove it") from error


def _scans(path: Path, hdus: fits.HDUList, gap_s: float) -> Iterator[Scan]:
    jd, source, length = _rows(hdus)
    bounded(path, "DATE", jd, FIRST_JD, LAST_JD, "d")
    bounded(path, "the integration time", length, SHORTEST_S, LONGEST_S, "s")
    offset_s = utc_offset_s(hdus["AIPS AN"])
    catalog = _sources(hdus)
    telescope = str(hdus[0].header.get("TELESCOP", hdus["AIPS AN"].header.get("ARRNAM", ""))).strip()
    for number, rows in enumerate(_split(jd, source, gap_s), start=1):
        name, ra, dec = catalog[int(source[rows[0]])]
        half = float(np.median(length[rows])) / 2
        yield Scan(
            number=number,
            source=name,
            ra_deg=ra,
            dec_deg=dec,
            start_jd=_shift(jd[rows[0]], -offset_s - half),
            end_jd=_shift(jd[rows[-1]], -offset_s + half),
            integrations=len(np.unique(jd[rows])),
            integration_s=2 * half,
            telescope=telescope,
        )


def _shift(jd: Any, seconds: float) -> float:
    """Return a Julian date moved by some seconds; to 10 ms, as good as the float32 day fractions of the format."""
    return round((float(jd) + seconds / DAY_S) * DAY_S * 100) / (DAY_S * 100)
