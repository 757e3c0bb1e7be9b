"""One observation of full size through all stages: 96 antennas, 768 channels, 24 integrations, 4800² pixels.

The limit of 8 GiB per stage is what a worker of the cluster is given.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from commands import contimg
from compare import true_fluxes

from contimg.models.manifest import Manifest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

GIB = 2**30
STAGES = ("convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish")
GROUP = """
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: full}
spec:
  pipeline: dsa110-continuum
  observations: {start: 2026-01-25T00:00:00Z, count: 1}
  stages:
    group: {min_size: 1}
"""


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory):
    """Run the group; the 7 GB of files go when the tests are over."""
    directory = tmp_path_factory.mktemp("full")
    try:
        made = contimg("simulate", "dsa110", directory / "sky", "--preset", "full")
        assert made.code == 0, made.err
        catalogs = directory / "data/state/config/catalogs"
        catalogs.mkdir(parents=True)
        shutil.copy(directory / "sky/catalog.ecsv", catalogs)
        (directory / "full.yaml").write_text(GROUP)
        places = (
            "--stage-base",
            directory / "stage",
            "--data-base",
            directory / "data",
            "--incoming",
            directory / "sky",
        )
        run = contimg("run", directory / "full.yaml", *places, "--json", timeout=3000)
        assert run.code == 0, run.err[-3000:]
        yield directory, run.json
    finally:
        _remove(directory)


def _remove(directory: Path) -> None:
    for where, _, _ in os.walk(directory):
        Path(where).chmod(0o700)  # runs are read-only
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def manifests(full) -> dict[str, Manifest]:
    paths = (full[0] / "stage").glob("**/.runs/*/manifest.json")
    return {manifest.stage: manifest for manifest in (Manifest.model_validate_json(p.read_text()) for p in paths)}


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_needs_more_than_8_gib(manifests, stage) -> None:
    usage = manifests[stage].usage
    print(f"{stage}: {usage.peak_bytes / GIB:.2f} GiB, {usage.cpu_s:.1f} CPU s, {usage.wall_s:.1f} s")
    assert 0 < usage.peak_bytes <= 8 * GIB


def test_it_is_of_full_size(manifests) -> None:
    found = manifests["convert"].info
    assert found["freq_hz"][2] == 768
    assert len(found["antennas"]) == 95, "96, and one is dead"
    assert (manifests["image"].params["size"], manifests["image"].params["cell_arcsec"]) == (4800, 3.0)


def test_it_passes_with_default_limits(full) -> None:
    """Nothing is switched off or widened but the size of the group."""
    failed = {name: figure for name, figure in full[1]["figures"].items() if figure["verdict"] == "failed"}
    assert not failed
    assert full[1]["phase"] == "Published"


def test_fluxes_and_places_of_the_brightest_sources(full) -> None:
    directory, result = full
    truth = json.loads((directory / "sky/truth.json").read_text())
    places, flux = true_fluxes(truth, np.mean(truth["freq_hz"]))
    (path,) = (p["path"] for p in result["products"] if p["path"].endswith(".ecsv"))
    table = QTable.read(path)
    index, distance, _ = places.match_to_catalog_sky(SkyCoord(table["ra"], table["dec"]))
    near, sigma = distance < 10 * u.arcsec, table["flux_err"][index].to_value("Jy")
    bright = near & (flux > 100 * sigma)
    ratio = table["flux"][index].to_value("Jy")[bright] / flux[bright]
    print(f"{bright.sum()} sources, ratios {np.round(ratio, 4)}, offsets {np.round(distance[bright].arcsec, 2)} arcsec")
    assert bright.sum() >= 10
    np.testing.assert_allclose(ratio, 1.0, atol=0.03)
    assert np.median(ratio) == pytest.approx(1.0, abs=0.01)
    assert np.median(distance[bright].arcsec) < 1.0  # a fiftieth of the beam
