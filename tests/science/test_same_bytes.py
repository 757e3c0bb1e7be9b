"""The same task makes the same bytes: on one core and on several, one job at a time and three, cold and warm child,
files that arrived in another order, and memory that held something else before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from commands import CONTIMG, clean_environment, contimg

from contimg.models.manifest import Manifest
from contimg.radio.same import differences

pytestmark = [pytest.mark.science, pytest.mark.slow]

DATA = ("raw_ms", "group", "calibration_table", "calibrated_ms", "image", "mosaic", "catalog")
SKY = {"preset": "tiny", "observations": 2, "transit_in": 0}
STAGES = {
    "convert": {"min_antennas": 5},
    "group": {"min_size": 1},
    "solve": {"min_uv_wavelengths": 0},
    "image": {"cell_arcsec": 10, "size": 400, "deconvolver": "multiscale"},
}


@dataclass(frozen=True)
class Way:
    """How a group is run."""

    cores: int
    jobs: int
    memory: str
    """Byte that new memory is filled with (glibc), so that a result that reads it differs."""
    newest_first: bool


ONE = Way(cores=1, jobs=1, memory="85", newest_first=False)
MANY = Way(cores=os.cpu_count() or 1, jobs=3, memory="170", newest_first=True)


def arrived(sky: Path, incoming: Path, newest_first: bool) -> None:
    """Copy the raw files in an order, which their times and the directory's listing show."""
    incoming.mkdir()
    for second, path in enumerate(sorted(sky.glob("*.hdf5"), reverse=newest_first)):
        shutil.copyfile(path, incoming / path.name)
        os.utime(incoming / path.name, (1.7e9 + second, 1.7e9 + second))


def run(base: Path, sky: Path, way: Way) -> dict[str, tuple[Path, Manifest]]:
    """Run the group; return run directory and manifest by task."""
    base.mkdir()
    arrived(sky, base / "incoming", way.newest_first)
    catalogs = base / "data/state/config/catalogs"
    catalogs.mkdir(parents=True)
    shutil.copy(sky / "catalog.ecsv", catalogs)
    spec = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T00:00:00Z", "count": 2}}
    group = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "ObservationGroup", "metadata": {"name": "same"}}
    (base / "same.yaml").write_text(yaml.safe_dump(group | {"spec": spec | {"stages": STAGES}}))
    words = [CONTIMG, "run", "same.yaml", "--stage-base", "stage", "--data-base", "data", "--incoming", "incoming"]
    cores = sorted(os.sched_getaffinity(0))[: way.cores]
    done = subprocess.run(
        [*words, "--jobs", str(way.jobs), "--json"],
        cwd=base,
        env=clean_environment(MALLOC_PERTURB_=way.memory, NUMBA_CACHE_DIR=str(base.parent / "numba")),
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = ((path, Manifest.model_validate_json(path.read_text())) for path in base.glob("**/.runs/*/manifest.json"))
    return {manifest.task: (path.parent, manifest) for path, manifest in found if "stage/" in str(path)}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, tuple[Path, Manifest]]]]:
    base = tmp_path_factory.mktemp("same")
    (base / "sky.yaml").write_text(yaml.safe_dump(SKY))
    made = contimg("simulate", "dsa110", base / "sky", "--config", base / "sky.yaml")
    assert made.code == 0, made.err[-2000:]
    yield [run(base / f"way{number}", base / "sky", way) for number, way in enumerate((ONE, MANY))]
    for where, _, _ in os.walk(base):
        Path(where).chmod(0o700)  # runs are read-only
    shutil.rmtree(base)


def test_the_tasks_are_the_same(both) -> None:
    assert both[0].keys() == both[1].keys()
    assert {manifest.stage for _, manifest in both[0].values()} >= {"convert", "solve", "apply", "image", "mosaic"}


@pytest.mark.parametrize("type_", DATA)
def test_products_are_the_same_to_the_last_bit(both, type_) -> None:
    compared = 0
    for task, (directory, manifest) in both[0].items():
        other, _ = both[1][task]
        for product in manifest.products:
            if product.type == type_:
                assert differences(directory / product.path, other / product.path) == [], product.id
                compared += 1
    assert compared


def test_files_are_the_same_too(both) -> None:
    """Checksums of manifests are over files; tables hold no remains of memory either."""
    sums = [
        {(task, p.path): p.sha256 for task, (_, m) in side.items() for p in m.products if p.type in DATA}
        for side in both
    ]
    assert sums[0] == sums[1]


def test_figures_and_facts_are_the_same(both) -> None:
    for task, (_, manifest) in both[0].items():
        other = both[1][task][1]
        if manifest.stage != "publish":
            assert json.dumps(manifest.info, sort_keys=True) == json.dumps(other.info, sort_keys=True)
            assert manifest.figures == other.figures
