"""Compare a published catalog and mosaic with the simulator's truth; shares no code with the stages."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS


@dataclass(frozen=True)
class Comparison:
    sources: int
    """Isolated sources above 20 sigma that were compared."""
    ratio: float
    """Median of measured over true flux."""
    pull: float
    """Robust standard deviation of (measured - true) / error."""
    bright_scatter: float
    """Robust scatter of the ratio above 100 sigma."""
    bright: int
    offset_ra: float
    """Median signed offset in RA cos(Dec), arcsec."""
    offset_dec: float
    noise_ratio: float
    """Median of the noise map over the noise seen in source-free pixels."""
    missing: int
    """True isolated sources above 20 sigma that the catalog lacks."""


def robust(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def true_fluxes(truth: dict, frequency_hz: float) -> tuple[SkyCoord, np.ndarray]:
    sources = truth["sources"]
    places = SkyCoord([s["ra_deg"] for s in sources], [s["dec_deg"] for s in sources], unit="deg")
    reference = truth.get("reference_hz", 1.4e9)
    flux = [s["flux_jy"] * (frequency_hz / reference) ** s["spectral_index"] for s in sources]
    return places, np.array(flux)


def noise_ratio(mosaic: Path, noise: Path, places: SkyCoord) -> float:
    """Noise map over the local scatter of the pixels that are far from every source."""
    image, sigma = (np.squeeze(fits.getdata(path)) for path in (mosaic, noise))
    wcs = WCS(fits.getheader(mosaic)).celestial
    good = np.isfinite(image) & np.isfinite(sigma) & (sigma < 3 * np.nanmin(sigma))
    x, y = wcs.world_to_pixel(places)
    yy, xx = np.indices(image.shape)
    for px, py in zip(x, y, strict=True):
        if np.isfinite(px) and -50 < px < image.shape[1] + 50 and -50 < py < image.shape[0] + 50:
            good[max(0, int(py) - 20) : int(py) + 21, max(0, int(px) - 20) : int(px) + 21] = False
    del xx, yy
    return 1.0 / robust((image / sigma)[good])


def compare(truth_path: Path, mosaic: Path, noise: Path, catalog: Path, isolation_arcsec: float = 300.0) -> Comparison:
    truth = json.loads(truth_path.read_text())
    header = fits.getheader(mosaic)
    beam = header["BMAJ"] * 3600
    frequency = header.get("RESTFRQ") or header.get("CRVAL4") or header["FREQ"]
    places, flux = true_fluxes(truth, frequency)
    nearest = places.match_to_catalog_sky(places, nthneighbor=2)[1].to_value("arcsec")
    wcs = WCS(header).celestial
    sigma = np.squeeze(fits.getdata(noise))
    x, y = (np.round(v).astype(int) for v in wcs.world_to_pixel(places))
    inside = (x >= 0) & (y >= 0) & (x < sigma.shape[1]) & (y < sigma.shape[0])
    local = np.full(len(places), np.nan)
    local[inside] = sigma[y[inside], x[inside]]
    chosen = (flux / local > 20) & (nearest > isolation_arcsec)
    table = QTable.read(catalog, hdu=1)
    found = SkyCoord(table["ra"], table["dec"])
    index, distance, _ = places[chosen].match_to_catalog_sky(found)
    hit = distance.to_value("arcsec") < beam / 2
    measured = table["flux"][index].to_value("Jy")[hit]
    error = table["flux_err"][index].to_value("Jy")[hit]
    true = flux[chosen][hit]
    ratio = measured / true
    bright = true / local[chosen][hit] > 100
    east, north = places[chosen][hit].spherical_offsets_to(found[index[hit]])
    return Comparison(
        sources=int(hit.sum()),
        ratio=float(np.median(ratio)),
        pull=robust((measured - true) / error),
        bright_scatter=robust(ratio[bright]) if bright.any() else float("nan"),
        bright=int(bright.sum()),
        offset_ra=float(np.median(east.to_value("arcsec"))),
        offset_dec=float(np.median(north.to_value("arcsec"))),
        noise_ratio=noise_ratio(mosaic, noise, places),
        missing=int((~hit).sum()),
    )
