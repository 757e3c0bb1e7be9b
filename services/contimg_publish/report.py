"""The report of a group: one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from pathlib import Path

import numpy as np
from astropy.table import QTable
from PIL import Image

from contimg import __version__
from contimg.models.manifest import Manifest
from contimg.models.plan import Plan
from contimg.models.quality import Figure, Verdict, worst
from contimg.stage import Run
from contimg_publish.params import PublishParams

__all__ = ["render"]

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0;background:#f6f6f4;color:#222}
main{max-width:1100px;margin:0 auto;padding:1.5rem}
h1{margin:.2rem 0;font-size:1.7rem}h2{margin:2rem 0 .6rem;font-size:1.2rem;border-bottom:1px solid #ccc}
table{border-collapse:collapse;background:#fff;width:100%;font-size:.86rem}
th,td{text-align:left;padding:.25rem .55rem;border-bottom:1px solid #e4e4e0}th{background:#ecece8}
th.n,td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.pass{color:#17692b}.degraded{color:#9a5b00}.failed{color:#a61b1b}
.badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;color:#fff;font-weight:600}
.badge.pass{background:#17692b}.badge.degraded{background:#b36b00}.badge.failed{background:#a61b1b}
img{max-width:100%;background:#fff}figure{margin:0 0 1rem}figcaption{font-size:.82rem;color:#555}
.small{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:1rem}
code{font-size:.8rem;word-break:break-all}details{margin:.5rem 0}.wide{overflow-x:auto}
"""


SMALL = 640
"""Pixels of the longer side of a member's picture; the mosaic is shown as it is."""


def _number(value: float | None, unit: str = "") -> str:
    """Return a value with a handy prefix for Jy, else five digits."""
    if value is None or not math.isfinite(value):
        return "not measured"
    if unit.startswith("Jy") and 0 < abs(value) < 0.5:
        return f"{value * 1e3:.4g} m{unit}"
    text = f"{value:.6f}".rstrip("0").rstrip(".") if unit == "deg" else f"{value:.5g}"
    return f"{text} {unit}".strip()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge {verdict.value}">{verdict.value}</span>'


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table; cells are HTML already, those that start with ``#`` are numbers, and so may be a whole column."""
    numbers = [bool(rows) and all(row[column].startswith("#") for row in rows) for column in range(len(head))]
    top = "".join(_head(word, is_number) for word, is_number in zip(head, numbers, strict=True))
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _details(summary: str, body: str, mark: str = "") -> str:
    return f"<details{mark}><summary>{escape(summary)}</summary>{body}</details>"


def _head(word: str, is_number: bool) -> str:
    return f'<th class="n">{escape(word)}</th>' if is_number else f"<th>{escape(word)}</th>"


def _cell(cell: str) -> str:
    return f'<td class="n">{cell[1:]}</td>' if cell.startswith("#") else f"<td>{cell}</td>"


def _small(path: Path) -> bytes:
    """Return a picture at a size that lets a page hold dozens."""
    with Image.open(path) as picture:
        picture.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG", quality=85)
    return small.getvalue()


def _picture(content: bytes, caption: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    kind, text = "png" if content.startswith(b"\x89PNG") else "jpeg", escape(caption)
    return f'<figure><img alt="{text}" src="data:image/{kind};base64,{data}"><figcaption>{text}</figcaption></figure>'


def _pictures(runs: list[Run], limit: int) -> str:
    found = [(run, product) for run in reversed(runs) for product in run.manifest.products if product.role == "png"]
    found.sort(key=lambda pair: pair[1].type != "mosaic")
    shown = [(run.path / product.path, product) for run, product in found[:limit]]
    large = "".join(_picture(path.read_bytes(), product.id) for path, product in shown if product.type == "mosaic")
    rest = [(path, product) for path, product in shown if product.type != "mosaic"]
    small = "".join(_picture(_small(path), product.id) for path, product in sorted(rest, key=lambda pair: pair[1].id))
    left = f"<p>{len(found) - limit} more pictures are not shown.</p>" if len(found) > limit else ""
    return f'{large}<div class="small">{small}</div>{left}'


def _headline(manifests: list[Manifest]) -> str:
    """Return what most readers look for, in one line."""
    values = {figure.name: figure for m in manifests for figure in m.figures}
    words = {"mosaic.peak": "brightest source", "mosaic.rms": "rms", "mosaic.area": "area"}
    words |= {"crossmatch.sources": "sources", "crossmatch.flux_ratio": "flux / catalog"}
    said = [f"{word} {_number(values[k].value, values[k].unit)}" for k, word in words.items() if k in values]
    line = "; ".join(said).replace(" deg2", " square degrees")
    return f"<p>{escape(line[:1].upper() + line[1:])}.</p>" if said else ""


def _stages(manifests: list[Manifest]) -> str:
    rows = []
    for stage in dict.fromkeys(m.stage for m in manifests):
        own = [m for m in manifests if m.stage == stage]
        rows.append(
            [
                escape(stage),
                f"#{len(own)}",
                f"#{sum(m.usage.wall_s for m in own):.1f}",
                f"#{sum(m.usage.cpu_s for m in own):.1f}",
                f"#{max(m.usage.peak_bytes for m in own) / 2**30:.2f}",
                f"#{sum(p.bytes for m in own for p in m.products) / 1e6:.1f}",
                _badge(worst(m.verdict for m in own)),
            ]
        )
    return _table(["stage", "runs", "wall s", "CPU s", "peak GiB", "products MB", "verdict"], rows)


def _figure_row(manifest: Manifest, figure: Figure) -> list[str]:
    verdict = f'<span class="{figure.verdict.value}">{figure.verdict.value}</span>' if figure.limit else "–"
    value = escape(_number(figure.value, figure.unit))
    return [escape(figure.name), escape(manifest.unit), f"#{value}", escape(figure.limit or "not judged"), verdict]


def _figures(manifests: list[Manifest]) -> str:
    parts = []
    for stage in dict.fromkeys(m.stage for m in manifests):
        own = [m for m in manifests if m.stage == stage]
        rows = [_figure_row(m, figure) for m in own for figure in m.figures]
        if rows:
            bad = any(figure.verdict is not Verdict.PASS for m in own for figure in m.figures)
            mark = " open" if bad or len(rows) <= 20 else ""
            table = _table(["figure", "unit of work", "value", "limits", "verdict"], rows)
            parts.append(_details(f"{stage}: {_count(len(rows), 'figure')}", table, mark))
    return "".join(parts)


def _sources(runs: list[Run], limit: int) -> str:
    run = next((run for run in runs if run.find("catalog", "ecsv")), None)
    if run is None or limit == 0:
        return ""
    table = QTable.read(run.product("catalog", "ecsv"), format="ascii.ecsv")
    table.sort("flux", reverse=True)
    rows = [
        [
            escape(str(row["id"])),
            f"#{row['flux'].value * 1e3:.3f} ± {row['flux_err'].value * 1e3:.3f}",
            f"#{row['peak'].value * 1e3:.3f}",
            f"#{row['major'].value:.1f} × {row['minor'].value:.1f}",
            "" if np.ma.is_masked(row["match"]) else escape(str(row["match"])),
            "#" + ("" if math.isnan(row["flux_ratio"].value) else f"{row['flux_ratio'].value:.3f}"),
        ]
        for row in table[:limit]
    ]
    kind = "apparent, not beam-corrected" if table.meta.get("PBCOR") is False else "beam-corrected"
    note = str(run.manifest.info.get("note") or "")
    note = escape(note[:1].upper() + note[1:] + ("" if not note or note.endswith(".") else "."))
    head = ["source", "flux mJy", "peak mJy/beam", "size ″", "match", "flux ratio"]
    title = f"<h2>Sources</h2><p>{len(table)} sources, {kind}; the brightest {len(rows)}. {note}</p>"
    return title + _table(head, rows)


def _provenance(manifests: list[Manifest]) -> str:
    rows = [
        [escape(m.stage), escape(m.unit), _code(m.task), f"{m.started:%Y-%m-%d %H:%M:%S}", escape(m.host)]
        for m in manifests
    ]
    versions = {(name, version) for m in manifests for name, version in ({"contimg": m.version} | m.software).items()}
    software = [[escape(name), escape(version)] for name, version in sorted(versions)]
    raw = sorted({path for m in manifests for path in m.raw})
    files = "".join(f"<li>{_code(path)}</li>" for path in raw)
    tasks = _table(["stage", "unit of work", "task", "started UTC", "host"], rows)
    return (
        _details(_count(len(rows), "task"), tasks)
        + _details(_count(len(raw), "raw file"), f"<ul>{files}</ul>")
        + _details(_count(len(software), "software version"), _table(["software", "version"], software))
    )


def _published(plan: Plan) -> str:
    rows = [
        [escape(i.type), escape(i.name), f"#{i.bytes / 1e6:.2f}", _code(i.sha256[:16]) + "…", _code(i.key)]
        for i in plan.items
    ]
    return _table(["type", "name", "MB", "sha256", "S3 key"], rows)


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
    manifests = [run.manifest for run in runs]
    group = escape(plan.group)
    decision = "to be published" if plan.publish else f"not published: {escape(plan.reason)}"
    images = _count(sum(m.stage == "image" for m in manifests), "image")
    parts = [
        f"<h1>{group} {_badge(plan.verdict)}</h1>",
        f"<p>Data of {escape(plan.date)}; {images}; policy {escape(plan.policy)}: {decision}.</p>",
        _headline(manifests),
        _pictures(runs, params.report_pictures),
        "<h2>Stages</h2>" + _stages(manifests),
        "<h2>Figures</h2>" + _figures(manifests),
        _sources(runs, params.report_sources),
        "<h2>Products</h2>" + _published(plan),
        "<h2>Provenance</h2>" + _provenance(manifests),
        f"<p>Made by contimg {escape(__version__)}.</p>",
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{group}</title>'
    body = f"<body><main>{''.join(parts)}</main></body>"
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head>{body}</html>\n'
