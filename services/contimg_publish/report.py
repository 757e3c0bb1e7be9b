"""The report of a group: one page of HTML that needs nothing else; the same runs give the same bytes."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from contimg import __version__
from contimg.models.manifest import Manifest
from contimg.models.plan import Plan
from contimg.models.quality import Figure, Verdict, worst
from contimg.radio.catalog import read_ecsv
from contimg.stage import Run
from contimg_publish.params import PublishParams

__all__ = ["render"]

SMALL = 640
"""Pixels of the longer side of a member's picture; the mosaic is shown as it is."""
FOLDED = 20
"""A longer table without trouble is folded."""


def _number(value: float | None, unit: str = "") -> str:
    """Return a value with a handy prefix for Jy, else five digits."""
    if value is None or not math.isfinite(value):
        return "not measured"
    if unit.startswith("Jy") and 0 < abs(value) < 0.5:
        return f"{value * 1e3:.4g} m{unit}"
    text = f"{value:.6f}".rstrip("0").rstrip(".") if unit == "deg" else f"{value:.5g}"
    return f"{text} {unit}".strip()


def _count_of(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _small(path: Path) -> bytes:
    """Return a picture at a size that lets a page hold dozens."""
    with Image.open(path) as picture:
        picture.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG", quality=85)
    return small.getvalue()


def _picture(content: bytes, caption: str) -> dict[str, str]:
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return {"kind": kind, "caption": caption, "data": base64.b64encode(content).decode("ascii")}


def _pictures(runs: list[Run], limit: int) -> dict[str, Any]:
    """Return the pictures of the stage furthest along as they are, those of single members small."""
    found = [(run, product) for run in reversed(runs) for product in run.manifest.products if product.role == "png"]
    found.sort(key=lambda pair: pair[1].type != "mosaic")
    shown = [(run.path / product.path, product) for run, product in found[:limit]]
    rest = sorted(((path, product) for path, product in shown if product.type != "mosaic"), key=lambda pair: pair[1].id)
    return {
        "large": [_picture(path.read_bytes(), product.id) for path, product in shown if product.type == "mosaic"],
        "small": [_picture(_small(path), product.id) for path, product in rest],
        "left": max(0, len(found) - limit),
    }


def _headline(manifests: list[Manifest]) -> str:
    """Return what most readers look for, in one line."""
    values = {figure.name: figure for m in manifests for figure in m.figures}
    words = {"mosaic.peak": "brightest source", "mosaic.rms": "rms", "mosaic.area": "area"}
    words |= {"crossmatch.sources": "sources", "crossmatch.flux_ratio": "flux / catalog"}
    said = [f"{word} {_number(values[k].value, values[k].unit)}" for k, word in words.items() if k in values]
    line = "; ".join(said).replace(" deg2", " square degrees")
    return line[:1].upper() + line[1:]


def _by_stage(manifests: list[Manifest]) -> dict[str, list[Manifest]]:
    """Return the manifests by stage, in their order."""
    found: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        found.setdefault(manifest.stage, []).append(manifest)
    return found


def _stage(name: str, own: list[Manifest]) -> dict[str, Any]:
    """Return what a stage cost: added, but for its memory, of which the highest counts."""
    numbers = (
        f"{len(own)}",
        f"{sum(m.usage.wall_s for m in own):.1f}",
        f"{sum(m.usage.cpu_s for m in own):.1f}",
        f"{max(m.usage.peak_bytes for m in own) / 2**30:.2f}",
        f"{sum(p.bytes for m in own for p in m.products) / 1e6:.1f}",
    )
    return {"stage": name, "numbers": numbers, "verdict": worst(m.verdict for m in own).value}


def _figure(manifest: Manifest, figure: Figure) -> dict[str, str]:
    value = _number(figure.value, figure.unit)
    row = {"name": figure.name, "unit": manifest.unit, "value": value}
    return row | {"limit": figure.limit or "", "verdict": figure.verdict.value}


def _figures(manifests: list[Manifest]) -> list[dict[str, Any]]:
    """Return the figures by stage; with trouble among them, or few, they are shown at once."""
    parts = []
    for stage, own in _by_stage(manifests).items():
        figures = [(m, figure) for m in own for figure in m.figures]
        is_bad = any(figure.verdict is not Verdict.PASS for _, figure in figures)
        rows = [_figure(*pair) for pair in figures]
        parts.append({"stage": stage, "rows": rows, "open": is_bad or len(rows) <= FOLDED})
    return [part for part in parts if part["rows"]]


def _sources(runs: list[Run], limit: int) -> dict[str, Any]:
    """Return the brightest sources of the catalog; nothing where there is none."""
    run = next((run for run in runs if run.find("catalog", "ecsv")), None)
    if run is None or limit == 0:
        return {}
    table = read_ecsv(run.product("catalog", "ecsv"))
    table.sort("flux", reverse=True)
    note = str(run.manifest.info.get("note") or "")
    return {
        "count": len(table),
        "kind": "apparent, not beam-corrected" if table.meta.get("PBCOR") is False else "beam-corrected",
        "note": note[:1].upper() + note[1:] + ("" if not note or note.endswith(".") else "."),
        "rows": [_source(row) for row in table[:limit]],
    }


def _source(row: Any) -> dict[str, str]:
    return {
        "id": str(row["id"]),
        "flux": f"{row['flux'].value * 1e3:.3f} ± {row['flux_err'].value * 1e3:.3f}",
        "peak": f"{row['peak'].value * 1e3:.3f}",
        "size": f"{row['major'].value:.1f} × {row['minor'].value:.1f}",
        "match": "" if np.ma.is_masked(row["match"]) else str(row["match"]),
        "ratio": "" if math.isnan(row["flux_ratio"].value) else f"{row['flux_ratio'].value:.3f}",
    }


def render(plan: Plan, runs: list[Run], params: PublishParams) -> str:
    """Return the page.

    Parameters
    ----------
    plan
        The decision and the products.
    runs
        All runs of the group, in the order of the stages.
    params
        How much is shown.
    """
    environment = Environment(
        loader=PackageLoader("contimg_publish", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count_of"] = _count_of
    manifests = [run.manifest for run in runs]
    software = {(name, version) for m in manifests for name, version in ({"contimg": m.version} | m.software).items()}
    page: str = environment.get_template("report.html").render(
        plan=plan,
        images=sum(m.stage == "image" for m in manifests),
        headline=_headline(manifests),
        pictures=_pictures(runs, params.report_pictures),
        stages=[_stage(name, own) for name, own in _by_stage(manifests).items()],
        figures=_figures(manifests),
        sources=_sources(runs, params.report_sources),
        manifests=manifests,
        raw=sorted({path for m in manifests for path in m.raw}),
        software=sorted(software),
        version=__version__,
    )
    return page
