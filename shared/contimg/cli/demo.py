"""``contimg demo``: a real VLA observation through the nine stages, beside what CASA measures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from astropy.coordinates import SkyCoord
from rich.console import Console

from contimg.cli.result import print_result, result_of, write_result
from contimg.cli.run import exit_code, run_files
from contimg.errors import BadConfig
from contimg.host.local import LocalOptions
from contimg.host.outcome import Outcome
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["ANCHOR_POSITION", "anchors", "demo", "lay_out"]

DATA = "__data__/demo/NGC5921.fits"
"""Inside casadata: VLA, 1995-04-13, 27 antennas, 63 channels around the HI line of NGC 5921."""
ANCHOR_POSITION = SkyCoord("15h21m54.95s", "+04d58m30.8s", frame="icrs")
"""Brightest source of the field as CASA 6.7 images the same data (by a fit, ± 0.2″)."""


def _raw_data() -> Path:
    spec = find_spec("casadata")
    if spec is None or not spec.submodule_search_locations:
        raise BadConfig(
            "the package casadata is not installed, and the demonstration's data with it; run './run setup'"
        )
    path = Path(spec.submodule_search_locations[0]) / DATA
    if not path.is_file():
        raise BadConfig(
            f"{path} is missing from the package casadata; reinstall it: pip install --force-reinstall casadata"
        )
    return path


def lay_out(directory: Path) -> Layout:
    """Make the directories of the demonstration and put the raw file and the group's YAML there."""
    disk.check_writable(directory, "--dir of the demonstration")
    layout = Layout(directory / "stage", directory / "data")
    day = disk.check_writable(layout.incoming / "1995-04-13", "incoming of the demonstration")
    source = _raw_data()
    target = day / source.name
    if not target.is_file() or target.stat().st_size != source.stat().st_size:
        shutil.copy2(source, target)
    group = directory / "ngc5921.yaml"
    if not group.exists():
        with as_file(files("contimg.cli") / "ngc5921.yaml") as packaged:
            shutil.copyfile(packaged, group)
    return layout


def _row(
    name: str, value: float | None, words: Callable[[float], str], expected: str, allowed: str, off: float
) -> dict[str, Any]:
    measured = "not measured" if value is None else words(value)
    return {"name": name, "measured": measured, "expected": expected, "allowed": allowed, "within": off <= 1}


def anchors(figures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare the measured figures with the anchor of CASA 6.7 on the same data (contracts.md)."""
    flux, peak, rms, ra, dec = (
        figures.get(name, {}).get("value")
        for name in ("solve.flux.1445+099", "mosaic.peak", "mosaic.rms", "mosaic.peak_ra", "mosaic.peak_dec")
    )
    offset = None
    if ra is not None and dec is not None:
        offset = float(SkyCoord(ra, dec, unit="deg").separation(ANCHOR_POSITION).to_value("arcsec"))

    def beyond(value: float | None, expected: float, allowed: float) -> float:
        return float("inf") if value is None else abs(value - expected) / allowed

    return [
        _row(
            "flux of 1445+099, fitted freely",
            flux,
            "{:.4f} Jy".format,
            "2.5265 Jy",
            "± 1.5 %",
            beyond(flux, 2.5265, 0.0379),
        ),
        _row(
            "brightest source", peak, "{:.4f} Jy/beam".format, "0.0879 Jy/beam", "± 4 %", beyond(peak, 0.0879, 0.0035)
        ),
        _row(
            "its distance from 15:21:54.95 +04:58:30.8", offset, "{:.2f}″".format, "0″", "2″", beyond(offset, 0.0, 2.0)
        ),
        _row(
            "noise (MAD)",
            rms,
            lambda v: f"{v * 1e3:.2f} mJy/beam",
            "0.77 mJy/beam",
            "≤ 0.95",
            beyond(rms, 0.0, 0.95e-3),
        ),
    ]


def _finish(directory: Path, outcome: Outcome, console: Console, *, json_: bool) -> None:
    result = result_of(outcome, anchors(outcome.figures))
    write_result(directory / "result.json", result)
    if json_:
        typer.echo(json.dumps(result, indent=2))
        return
    print_result(result, console)
    picture = next((p["path"] for p in result["products"] if p["type"] == "mosaic" and p["path"].endswith(".png")), "")
    report = next((p["path"] for p in result["products"] if p["path"].endswith(".html")), "")
    console.print(
        f"Picture: {picture}\nReport:  {report}\nResult:  {directory / 'result.json'}", markup=False, soft_wrap=True
    )


def demo(
    directory: Path = typer.Option(Path("demo"), "--dir", help="Everything the demonstration makes stays here."),
    s3: str = typer.Option("embedded", help="Object store: 'embedded', 'none', or a URL with bucket."),
    json_: bool = typer.Option(False, "--json", help="Print the result as JSON on standard output."),
) -> None:
    """Run a real VLA observation of NGC 5921 through the nine stages into DIR/{stage,data,s3}."""
    directory = directory.absolute()
    layout = lay_out(directory)
    console = Console(stderr=json_)
    cleared = {name: "" for name in os.environ if name.startswith("CONTIMG_") and name.endswith("_DIR")}
    os.environ.update(cleared)
    (outcome,) = run_files(LocalOptions(layout, (directory / "ngc5921.yaml",), s3), console, quiet=json_)
    _finish(directory, outcome, console, json_=json_)
    within = all(row["within"] for row in anchors(outcome.figures))
    raise typer.Exit(exit_code([outcome]) or (0 if within else 1))
