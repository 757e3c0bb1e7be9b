"""Every backend on one small simulated group: the same raw files, the same sky, one choice edited at a time.

Tasks are named by what goes into them, so a variant runs only what its choice changes. The variants are compared with
the base source by source, which is sharper than a comparison of each with the truth: they share the noise.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from commands import contimg
from compare import true_fluxes

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.casa]

SKY = "preset: small-group\nobservations: 1\ntransit_in: 0\n"
GROUP = """
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {{name: backends}}
spec:
  pipeline: dsa110-continuum
  observations: {{start: 2026-01-25T00:00:00Z, count: 1}}
  stages:
    convert: {{min_antennas: 5, rfi: {rfi}}}
    group: {{min_size: 1}}
    solve: {{min_uv_wavelengths: 0, backend: {solver}}}
    image: {{cell_arcsec: 10, size: 1200, threshold_sigma: 3, backend: {imager}}}
"""
BASE = {"rfi": "array", "solver": "stefcal", "imager": "ducc"}
VARIANTS = {
    "aoflagger": {"rfi": "aoflagger"},
    "casa": {"solver": "casa"},
    "wsclean": {"imager": "wsclean"},
    "tclean": {"imager": "tclean"},
}
ATTEMPTS = {"base": 8, "aoflagger": 8, "casa": 6, "wsclean": 4, "tclean": 4}
"""How many stages a variant runs: those from its choice on, and publish."""


@dataclass(frozen=True)
class Bound:
    """How far a variant may lie from the base."""

    median: float
    """Of the ratio of fluxes of the sources above 30 sigma."""
    scatter_sigma: float
    """Robust scatter of flux differences, in errors of one flux."""
    noise: float
    """Relative difference of the noise of the mosaic."""


BOUNDS = {
    "aoflagger": Bound(0.005, 0.5, 0.05),
    "casa": Bound(0.005, 0.3, 0.02),
    "wsclean": Bound(0.01, 1.5, 0.25),
    "tclean": Bound(0.02, 2.0, 0.25),
}
"""The foreign imagers do not follow the beam through time and band, so what it changes stays as noise."""


@dataclass(frozen=True)
class Made:
    """What a variant made."""

    result: dict
    catalog: QTable

    @property
    def noise(self) -> float:
        return self.result["figures"]["mosaic.rms"]["value"]


class Site:
    """One stage and data base in which all variants run, each when it is first asked for, the base before all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.made: dict[str, Made] = {}
        (directory / "sky.yaml").write_text(SKY)
        sky = contimg("simulate", "dsa110", directory / "sky", "--config", directory / "sky.yaml")
        assert sky.code == 0, sky.err
        catalogs = directory / "data/state/config/catalogs"
        catalogs.mkdir(parents=True)
        shutil.copy(directory / "sky/catalog.ecsv", catalogs)

    def variant(self, name: str) -> Made:
        if name not in self.made:
            if name != "base":
                self.variant("base")
            self.made[name] = self._run(BASE | VARIANTS.get(name, {}))
        return self.made[name]

    def _run(self, choices: dict[str, str]) -> Made:
        group = self.directory / "group.yaml"
        group.write_text(GROUP.format(**choices))
        bases = ("--stage-base", self.directory / "stage", "--data-base", self.directory / "data")
        run = contimg("run", group, *bases, "--incoming", self.directory / "sky", "--json")
        assert run.code == 0, run.err[-3000:]
        (path,) = (product["path"] for product in run.json["products"] if product["path"].endswith(".ecsv"))
        return Made(run.json, QTable.read(path))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("backends"))


def against(table: QTable, other: SkyCoord) -> tuple[np.ndarray, np.ndarray]:
    """Return for each place the row of the table that is nearest, and whether it is near."""
    index, distance, _ = other.match_to_catalog_sky(SkyCoord(table["ra"], table["dec"]))
    return index, distance < 10 * u.arcsec


def robust(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def test_the_base_finds_the_fluxes_that_were_simulated(site: Site) -> None:
    """The calibrator sets the scale, so it is left out; the others stand within 3 % in the median."""
    truth = json.loads((site.directory / "sky/truth.json").read_text())
    places, flux = true_fluxes(truth, np.mean(truth["freq_hz"]))
    table = site.variant("base").catalog
    index, near = against(table, places)
    chosen = near & (flux > 30 * table["flux_err"][index].to_value("Jy")) & (flux < flux.max())
    ratio = table["flux"][index][chosen].to_value("Jy") / flux[chosen]
    assert chosen.sum() >= 10
    assert np.median(ratio) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_backend_finds_what_the_base_finds(site: Site, name: str) -> None:
    base, table, bound = site.variant("base").catalog, site.variant(name).catalog, BOUNDS[name]
    error = base["flux_err"].to_value("Jy")
    bright = base["flux"].to_value("Jy") > 30 * error
    index, near = against(table, SkyCoord(base["ra"], base["dec"]))
    assert bright.sum() >= 10
    assert near[bright].all(), "every bright source is found again"
    ours, theirs = (t.to_value("Jy")[bright] for t in (base["flux"], table["flux"][index]))
    assert np.median(theirs / ours) == pytest.approx(1.0, abs=bound.median)
    assert robust((theirs - ours) / error[bright]) < bound.scatter_sigma
    assert site.variant(name).noise / site.variant("base").noise == pytest.approx(1.0, abs=bound.noise)


@pytest.mark.parametrize("name", ["base", *VARIANTS])
def test_only_what_the_choice_changes_runs(site: Site, name: str) -> None:
    assert site.variant(name).result["stages_run"] == ATTEMPTS[name]


def test_the_choices_were_obeyed(site: Site) -> None:
    """Different programs give different digits; equal ones would mean that a choice had no effect."""
    fluxes = {name: site.variant(name).catalog["flux"].to_value("Jy")[:5].tolist() for name in ("base", *VARIANTS)}
    assert [name for name in VARIANTS if fluxes[name] == fluxes["base"]] == []
