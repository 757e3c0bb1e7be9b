"""The report: numbers as people read them, tables, the line at the top, and nothing from outside."""

import re
from pathlib import Path

import pytest
from PIL import Image
from skies import manifest

from contimg.models.manifest import Usage
from contimg.models.plan import Plan
from contimg.models.quality import Verdict, judge
from contimg.stage import Run
from contimg_publish.params import PublishParams
from contimg_publish.report import SMALL, _headline, _number, _small, render


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "Jy", "not measured"),
        (float("nan"), "", "not measured"),
        (7.7e-4, "Jy/beam", "0.77 mJy/beam"),
        (2.5265, "Jy", "2.5265 Jy"),
        (0.0, "Jy", "0 Jy"),
        (230.478931, "deg", "230.478931 deg"),
        (0.0, "deg", "0 deg"),
        (27.0, "", "27"),
        (1234567.0, "byte", "1.2346e+06 byte"),
    ],
)
def test_numbers(value, unit, text):
    assert _number(value, unit) == text


def page_of(*manifests, **plan):
    whole = {"group": "g1", "date": "2026-01-25", "policy": "always", "publish": True, "verdict": Verdict.PASS}
    runs = [Run(Path("/nowhere"), each) for each in manifests]
    return render(Plan(**(whole | {"items": ()} | plan)), runs, PublishParams())


def test_the_same_runs_give_the_same_bytes_and_nothing_is_loaded_from_outside():
    runs = [manifest("a" * 32, "image", [], raw=("b", "a"), software={"z": "1", "numpy": "2"})]
    page = page_of(*runs)
    assert page == page_of(*runs)
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)|https?:|@import|url\(|<script|<link""", page)


def test_a_group_that_is_not_published_says_why():
    page = page_of(publish=False, reason="image.rms 3 of a < b", verdict=Verdict.FAILED)
    assert "not published: image.rms 3 of a &lt; b." in page
    assert '<h1>g1 <span class="badge failed">failed</span></h1>' in page


def test_headline_names_what_there_is():
    figures = [judge("mosaic.peak", 0.0879, "Jy/beam"), judge("mosaic.rms", 7.7e-4, "Jy/beam")]
    line = _headline([manifest("a" * 32, "mosaic", [], figures=figures)])
    assert line == "Brightest source 87.9 mJy/beam; rms 0.77 mJy/beam"
    assert _headline([]) == ""


def test_stage_with_trouble_is_open_and_others_are_folded_when_long():
    good = [judge(f"image.q{n}", 1.0, degraded_below=0.0) for n in range(30)]
    bad = [judge("mosaic.members", 1.0, degraded_below=2.0)]
    page = page_of(*[manifest("a" * 32, "image", [], figures=good), manifest("b" * 32, "mosaic", [], figures=bad)])
    assert "<details><summary>image: 30 figures<" in page
    assert "<details open><summary>mosaic: 1 figure<" in page
    assert '<span class="degraded">degraded</span>' in page


def test_stage_shows_its_worst_verdict():
    runs = [manifest(c * 32, "image", [], verdict=v) for c, v in (("a", Verdict.PASS), ("b", Verdict.DEGRADED))]
    assert 'badge degraded">degraded' in page_of(*runs)


def test_small_pictures_are_small(tmp_path):
    Image.effect_noise((1400, 1000), 80).save(tmp_path / "p.png")
    small = _small(tmp_path / "p.png")
    assert len(small) < 0.25 * (tmp_path / "p.png").stat().st_size
    (tmp_path / "s.jpg").write_bytes(small)
    with Image.open(tmp_path / "s.jpg") as shown:
        assert max(shown.size) == SMALL


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4999, "Jy", "499.9 mJy"),
        (0.5, "Jy", "0.5 Jy"),
        (-0.002, "Jy/beam", "-2 mJy/beam"),
        (float("inf"), "Jy", "not measured"),
        (0.002, "arcsec", "0.002 arcsec"),
        (-33.5, "deg", "-33.5 deg"),
    ],
)
def test_numbers_at_the_limits_of_their_forms(value, unit, text):
    assert _number(value, unit) == text


def test_long_tables_without_trouble_are_folded_short_ones_are_not():
    def page(count):
        figures = [judge(f"image.q{n}", 1.0, degraded_below=0.0) for n in range(count)]
        return page_of(*[manifest("a" * 32, "image", [], figures=figures)])

    assert "<details open>" in page(20)
    assert "<details open>" not in page(21)
    assert "image: " not in page(0)


def test_what_is_not_judged_says_so_instead_of_passing():
    page = page_of(*[manifest("a" * 32, "image", [], figures=[judge("image.rms", 1.0)])])
    assert "not judged" in page
    assert '<span class="pass">' not in page


def test_costs_of_a_stage_are_added_and_its_memory_is_the_highest():
    usage = [Usage(wall_s=10.0, cpu_s=5.0, peak_bytes=n * 2**30) for n in (1, 3)]
    page = page_of(*[manifest(c * 32, "image", [], usage=u) for c, u in zip("ab", usage, strict=True)])
    cells = re.findall(r'<td class="n">([^<]*)</td>', page)
    assert cells == ["2", "20.0", "10.0", "3.00", "0.0"]


def test_names_that_look_like_markup_are_text():
    page = page_of(manifest("a" * 32, "image", [], unit="<b>", figures=[judge("image.<i>", 1.0)]))
    assert "<b>" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;" in page


def test_small_pictures_are_not_enlarged(tmp_path):
    Image.new("RGBA", (40, 30), (10, 20, 30, 128)).save(tmp_path / "p.png")
    (tmp_path / "s.jpg").write_bytes(_small(tmp_path / "p.png"))
    with Image.open(tmp_path / "s.jpg") as shown:
        assert shown.size == (40, 30)
