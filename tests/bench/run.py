"""``./run bench``: CPU seconds of every stage for one simulated observation, beside pyuvdata and CASA on the same data.

CPU seconds (user and system, all threads) do not depend on what else the machine does, as wall seconds do; the ratios
to the reference of the same run do not depend on the machine either. Ours are those of the attempts, as the worker
measures them from the operating system's accounts; a tiny group before fills the cache of compiled kernels. The
reference works on the same raw files and on a copy of our raw measurement set. The engine's own bench comes last.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from contimg.models.manifest import Manifest

HERE = Path(__file__).parent
STAGES = ("convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish")
TINY = {"convert": {"min_antennas": 5}, "group": {"min_size": 1}, "solve": {"min_uv_wavelengths": 0}}
TINY |= {"image": {"cell_arcsec": 10, "size": 256}}
SMALL_SKY = {"preset": "full", "channels_per_subband": 4}
"""All antennas and integrations, a twelfth of the channels."""
SMALL_IMAGE = {"cell_arcsec": 6, "size": 1200, "max_iterations": 1000}
FULL_IMAGE = {"cell_arcsec": 3, "size": 4800, "max_iterations": 5000}
COMPARED = {
    "convert": ("read", "phase", "write_ms", "flagdata"),
    "solve": ("setjy", "bandpass", "gaincal"),
    "apply": ("applycal",),
    "image": ("tclean",),
}
"""Steps of the reference that together do the work of a stage; stage convert flags too."""


@dataclass(frozen=True)
class Observed:
    """One observation that went through all stages."""

    raw: Path
    stage: Path
    manifests: dict[str, Manifest]

    def product(self, stage: str) -> Path:
        """Return the main product of a stage."""
        manifest = self.manifests[stage]
        (run,) = self.stage.glob(f"**/.runs/{manifest.task}")
        return run / manifest.products[0].path


def _call(*words: object, **more: str) -> str:
    done = subprocess.run(
        [str(word) for word in words], env=os.environ | more, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{words[0]} {words[1]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def observe(directory: Path, name: str, sky: dict[str, Any], stages: dict[str, Any]) -> Observed:
    """Simulate one observation and run it as a group of its own."""
    contimg = Path(sys.executable).parent / "contimg"
    here = directory / name
    raw, stage, data = here / "sky", here / "stage", here / "data"
    here.mkdir()
    (here / "sky.yaml").write_text(yaml.safe_dump(sky))
    _call(contimg, "simulate", "dsa110", raw, "--config", here / "sky.yaml")
    (data / "state/config/catalogs").mkdir(parents=True)
    shutil.copy(raw / "catalog.ecsv", data / "state/config/catalogs")
    spec = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-01T00:00:00Z", "count": 1}}
    group = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "ObservationGroup", "metadata": {"name": name}}
    (here / "group.yaml").write_text(yaml.safe_dump(group | {"spec": spec | {"stages": stages}}))
    places = ("--stage-base", stage, "--data-base", data, "--incoming", raw)
    _call(contimg, "run", here / "group.yaml", *places, "--json", NUMBA_CACHE_DIR=str(directory / "numba"))
    found = [Manifest.model_validate_json(path.read_text()) for path in stage.glob("**/.runs/*/manifest.json")]
    return Observed(raw, stage, {manifest.stage: manifest for manifest in found})


def reference(kind: str, directory: Path, **arguments: Any) -> dict[str, float]:
    """Run one of the reference chains; return CPU seconds by step."""
    directory.mkdir()
    lines = _call(sys.executable, HERE / "reference.py", kind, directory, json.dumps(arguments)).splitlines()
    return {line.split()[1]: float(line.split()[2]) for line in lines if line.startswith("CPU ")}


def reference_steps(directory: Path, seen: Observed, image: dict[str, Any]) -> dict[str, float]:
    """Run pyuvdata and CASA on the observation."""
    import numpy as np  # noqa: PLC0415 - the parent stays small

    info = seen.manifests["convert"].info
    centre = {f"{axis}_rad": float(np.radians(info[f"{axis}_deg"])) for axis in ("ra", "dec")}
    raw = [str(path) for path in sorted(seen.raw.glob("*.hdf5"), key=lambda path: path.stem.rpartition("_sb")[2])]
    steps = reference("pyuvdata", directory / "pyuvdata", raw=raw, **centre)
    ms = directory / "casa.ms"
    shutil.copytree(seen.product("convert"), ms, copy_function=shutil.copyfile)
    for path in (ms, *ms.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    truth = json.loads((seen.raw / "truth.json").read_text())
    tclean = {"imsize": image["size"], "cell": f"{image['cell_arcsec']}arcsec", "niter": image["max_iterations"]}
    tclean |= {"gridder": "wproject", "wprojplanes": -1, "weighting": "briggs", "robust": 0.0, "deconvolver": "clark"}
    flux = max(source["flux_jy"] for source in truth["sources"])
    return steps | reference("casa", directory / "casa", ms=str(ms), flux_jy=flux, image=tclean | {"nsigma": 5.0})


def table(seen: Observed, steps: dict[str, float]) -> Table:
    """Return the table of all stages."""
    shown = Table(title="CPU seconds of one observation", title_justify="left")
    for name in (
        "stage",
        "CPU s",
        "wall s",
        "peak MiB",
        "reference CPU s",
        "reference / ours",
        "what the reference did",
    ):
        shown.add_column(name, justify="left" if name in {"stage", "what the reference did"} else "right")
    for stage in STAGES:
        usage, parts = seen.manifests[stage].usage, COMPARED.get(stage, ())
        cells = [stage, f"{usage.cpu_s:.1f}", f"{usage.wall_s:.1f}", f"{usage.peak_bytes / 2**20:.0f}"]
        if parts:
            total = sum(steps[part] for part in parts)
            said = ", ".join(f"{part} {steps[part]:.1f}" for part in parts)
            cells += [f"{total:.1f}", f"{total / usage.cpu_s:.1f}", said]
        shown.add_row(*cells)
    total = sum(manifest.usage.cpu_s for manifest in seen.manifests.values())
    compared = sum(seen.manifests[stage].usage.cpu_s for stage in COMPARED)
    theirs = sum(steps[part] for parts in COMPARED.values() for part in parts)
    shown.add_section()
    shown.add_row(
        "all", f"{total:.1f}", "", "", f"{theirs:.1f}", f"{theirs / compared:.1f}", "over the stages compared"
    )
    return shown


def main() -> int:
    """Run everything and print it; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="run bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="768 channels and images of 4800 pixels; takes an hour")
    parser.add_argument(
        "--dir", type=Path, help="where to work; must hold 40 GB with --full, else 4; default: a temporary one"
    )
    chosen = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 150)
    image = FULL_IMAGE if chosen.full else SMALL_IMAGE
    with tempfile.TemporaryDirectory(prefix="contimg-bench-", dir=chosen.dir) as name:
        directory = Path(name)
        console.print("compiling the kernels with a tiny observation …")
        observe(directory, "tiny", {"preset": "tiny"}, TINY)
        sky = {"preset": "full"} if chosen.full else SMALL_SKY
        console.print(f"running one observation: {sky}, image {image} …")
        seen = observe(directory, "bench", sky, {"group": {"min_size": 1}, "image": image})
        console.print("running pyuvdata and CASA on the same …")
        console.print(table(seen, reference_steps(directory, seen, image)))
    return subprocess.run([sys.executable, str(HERE / "bench_engine.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
