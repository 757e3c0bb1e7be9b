"""Parts of the report: numbers as people read them, tables, the line at the top."""

import pytest
from PIL import Image
from skies import manifest

from contimg.models.quality import Verdict, judge
from contimg_publish.report import SMALL, _figures, _headline, _number, _small, _stages, _table


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


def test_tables_escape_their_heads_and_mark_numbers():
    page = _table(["a<b"], [["#1"], ["x"]])
    assert "<th>a&lt;b</th>" in page
    assert '<td class="n">1</td>' in page
    assert "<td>x</td>" in page
    assert '<th class="n">n</th>' in _table(["n"], [["#1"], ["#2"]])


def test_headline_names_what_there_is():
    figures = [judge("mosaic.peak", 0.0879, "Jy/beam"), judge("mosaic.rms", 7.7e-4, "Jy/beam")]
    line = _headline([manifest("a" * 32, "mosaic", [], figures=figures)])
    assert line == "<p>Brightest source 87.9 mJy/beam; rms 0.77 mJy/beam.</p>"
    assert _headline([]) == ""


def test_stage_with_trouble_is_open_and_others_are_folded_when_long():
    good = [judge(f"image.q{n}", 1.0, degraded_below=0.0) for n in range(30)]
    bad = [judge("mosaic.members", 1.0, degraded_below=2.0)]
    page = _figures([manifest("a" * 32, "image", [], figures=good), manifest("b" * 32, "mosaic", [], figures=bad)])
    assert "<details><summary>image: 30 figures" in page
    assert "<details open><summary>mosaic: 1 figure<" in page
    assert '<span class="degraded">degraded</span>' in page


def test_stage_shows_its_worst_verdict():
    runs = [manifest(c * 32, "image", [], verdict=v) for c, v in (("a", Verdict.PASS), ("b", Verdict.DEGRADED))]
    assert 'badge degraded">degraded' in _stages(runs)


def test_small_pictures_are_small(tmp_path):
    Image.effect_noise((1400, 1000), 80).save(tmp_path / "p.png")
    small = _small(tmp_path / "p.png")
    assert len(small) < 0.25 * (tmp_path / "p.png").stat().st_size
    (tmp_path / "s.jpg").write_bytes(small)
    with Image.open(tmp_path / "s.jpg") as shown:
        assert max(shown.size) == SMALL
