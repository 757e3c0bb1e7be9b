"""Stage publish: verdict by policy, what is published, report, provenance."""

import base64
import json
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from committed import commit

from contimg.errors import BadInput
from contimg.models.group import Policy, PublishSpec
from contimg.models.manifest import Usage
from contimg.models.plan import Plan
from contimg.models.quality import Verdict, judge
from contimg.stage import StageContext
from contimg.volume.layout import Layout
from contimg_publish import stage as module
from contimg_publish.params import PublishOptions, PublishParams
from contimg_publish.policy import allowed
from contimg_publish.stage import PublishStage


def png(shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([shade] * 4) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def ecsv(path):
    table = QTable({"id": ["J1", "J<2>"], "match": ["m", ""]})
    for name, unit in (
        ("flux", u.Jy),
        ("flux_err", u.Jy),
        ("peak", u.Jy / u.beam),
        ("major", u.arcsec),
        ("minor", u.arcsec),
    ):
        table[name] = np.array([0.1, 0.2]) * unit
    table["flux_ratio"] = np.array([np.nan, 1.01]) * u.dimensionless_unscaled
    table.meta["PBCOR"] = False
    table.write(path, format="ascii.ecsv")
    return path.read_bytes()


@pytest.fixture
def inputs(tmp_path):
    layout = Layout(tmp_path / "stage", tmp_path / "data")
    cost = Usage(wall_s=12.5, cpu_s=20.0, peak_bytes=2**30)
    images = []
    for n in (1, 2):
        files = {
            "fits": (f"t{n}.fits", b"pixels"),
            "png": (f"t{n}.png", png(n)),
            "": (f"t{n}.image", {"table.dat": b"x"}),
        }
        figure = judge("image.dynamic_range", 150.0 * n, degraded_below=200.0)
        run = commit(
            layout,
            "image",
            f"{n:032x}",
            "image",
            files,
            unit=f"t{n}",
            figures=[figure],
            usage=cost,
            verdict=figure.verdict,
        )
        images.append(run)
    mosaic = {"": ("mosaic_g1_coadd.fits", b"sum"), "png": ("mosaic_g1_coadd.png", png(99))}
    tables = {"bpcal": ("g1_bpcal", {"t": b"b"}), "calsel": ("g1_calsel.json", b"{}")}
    catalog = {"ecsv": ("catalog.ecsv", ecsv(tmp_path / "c.ecsv"))}
    raw = {"": ("t1.ms", {"t": b"v"})}
    return {
        "raw_ms": [
            commit(layout, "raw_ms", "8" * 32, "convert", raw, unit="t1", raw=("a<b>.hdf5",), raw_digest="7" * 64)
        ],
        "calibration_table": [commit(layout, "calibration_table", "9" * 32, "solve", tables)],
        "image": images,
        "mosaic": [
            commit(layout, "mosaic", "a" * 32, "mosaic", mosaic, figures=[judge("mosaic.rms", 7.7e-4, "Jy/beam")])
        ],
        "catalog": [commit(layout, "catalog", "b" * 32, "crossmatch", catalog, info={"note": "no reference catalog"})],
    }


def published(tmp_path, inputs, **publish):
    work = tmp_path / "work"
    work.mkdir()
    context = StageContext(
        "g1", "g1", "2026-01-25", PublishParams(), work, inputs, options=PublishOptions(publish=publish)
    )
    result = PublishStage().run(context)
    return result, Plan.model_validate_json((work / "plan_g1.json").read_text()), work


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("policy", list(Policy))
@pytest.mark.parametrize("approve", [True, False])
def test_policy_decides(policy, verdict, approve):
    wanted = {
        Policy.ALWAYS: True,
        Policy.UNLESS_FAILED: verdict is not Verdict.FAILED,
        Policy.ON_QA_PASS: verdict is Verdict.PASS,
        Policy.MANUAL: approve,
    }[policy]
    reason = allowed(PublishSpec(policy=policy, approve=approve), verdict, ["image.rms 3 of t1"])
    assert (reason == "") is wanted
    assert wanted or policy.value in reason


def test_verdict_is_the_worst_and_its_cause_is_named(tmp_path, inputs):
    result, plan, _ = published(tmp_path, inputs, policy="on-qa-pass")
    assert (plan.verdict, plan.publish) == (Verdict.DEGRADED, False)
    assert "image.dynamic_range 150 of t1" in plan.reason
    assert result.info["publish"] is False


def test_default_publishes_mosaic_and_catalog_only(tmp_path, inputs):
    result, plan, _ = published(tmp_path, inputs)
    assert plan.publish
    assert {item.type for item in plan.items} == {"mosaic", "catalog"}
    item = next(i for i in plan.items if i.path == "mosaic_g1_coadd.fits")
    assert item.name == "2026-01-25/mosaic_g1_coadd.fits"
    assert item.key == f"mosaics/2026-01-25/{'a' * 32}/mosaic_g1_coadd.fits"
    assert {p.role for p in result.products} == {"plan", "report", "provenance"}


def test_optional_products_are_included_when_asked_for(tmp_path, inputs):
    _, plan, _ = published(tmp_path, inputs, include=["images", "caltables"])
    by_name = {item.name: item for item in plan.items}
    assert by_name["2026-01-25/g1/t1.fits"].type == "image"
    assert by_name["2026-01-25/g1/t1.image"].directory
    assert by_name["2026-01-25/g1/t1.image"].key.endswith("t1.image.tar")
    assert by_name["2026-01-25/g1_bpcal"].directory
    assert not [item for item in plan.items if item.type == "raw_ms"]


def test_two_products_of_one_name_are_refused(tmp_path, inputs):
    layout = Layout(tmp_path / "stage", tmp_path / "data")
    inputs["mosaic"].append(commit(layout, "mosaic", "c" * 32, "mosaic", {"": ("mosaic_g1_coadd.fits", b"other")}))
    with pytest.raises(BadInput, match=r"both be 2026-01-25/mosaic_g1_coadd\.fits"):
        published(tmp_path, inputs)


class Page(HTMLParser):
    """Balanced tags, visible text, and everything that a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.fetched, self.images = [], "", [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                (self.images if value.startswith("data:image/") else self.fetched).append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_report_needs_nothing_else_and_shows_everything(tmp_path, inputs):
    _, _, work = published(tmp_path, inputs)
    text = (work / "report_g1.html").read_text()
    page = Page(text)
    assert page.fetched == []
    assert not re.search(r"url\(|@import|<script", text)
    first = base64.b64decode(page.images[0].split(",", 1)[1])
    assert first == png(99)
    assert len(page.images) == 3
    for words in (
        "image.dynamic_range",
        "degraded < 200",
        "0.77 mJy/beam",
        "mosaic.rms",
        "25.0",
        "a<b>.hdf5",
        "J<2>",
        "200.000 ± 200.000",
        "No reference catalog",
        "apparent, not beam-corrected",
        "a" * 32,
    ):
        assert words in page.text, words


def test_report_limits_its_pictures(tmp_path, inputs):
    work = tmp_path / "work"
    work.mkdir()
    params, options = PublishParams(report_pictures=1), PublishOptions()
    PublishStage().run(StageContext("g1", "g1", "2026-01-25", params, work, inputs, options=options))
    page = Page((work / "report_g1.html").read_text())
    assert len(page.images) == 1
    assert "2 more pictures are not shown" in page.text


def test_report_that_fails_does_not_fail_the_product(tmp_path, inputs, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("no picture")

    monkeypatch.setattr(module, "render", broken)
    result, plan, work = published(tmp_path, inputs)
    assert plan.publish
    assert "ZeroDivisionError" in result.info["report_failure"]
    assert {p.role for p in result.products} == {"plan", "provenance"}
    assert not (work / "report_g1.html").exists()


def test_provenance_is_of_all_runs(tmp_path, inputs):
    _, _, work = published(tmp_path, inputs)
    document = json.loads((work / "provenance_g1.json").read_text())
    tasks = {f"task:{run.manifest.task}" for runs in inputs.values() for run in runs}
    assert set(document["activity"]) == tasks
