"""The stage on a level-2 file of the simulator."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from comap_sim import level2_of, simulated

from contimg.errors import BadConfig, BadInput
from contimg.models.decide import Problem
from contimg.models.quality import Verdict
from contimg.stage import StageContext
from contimg_comap_destripe.decide import decide
from contimg_comap_destripe.params import DestripeOptions, DestripeParams, MapRequest
from contimg_comap_destripe.recognise import recognise
from contimg_comap_destripe.stage import DestripeStage


@pytest.fixture(scope="module")
def level2(tmp_path_factory):
    base = tmp_path_factory.mktemp("files")
    return level2_of(simulated(base, channels=16, minutes=2.0, feeds=(1, 19)), base / "out")


def made(level2, workdir, *, expected=0, tolerance=1e-6, max_iterations=1000, **wanted):
    run = SimpleNamespace(manifest=SimpleNamespace(unit="0060001"), product=lambda _: level2)
    params = DestripeParams(maps=(MapRequest(**wanted),), tolerance=tolerance, max_iterations=max_iterations)
    workdir.mkdir(exist_ok=True)
    context = StageContext(
        unit="g.map0",
        group="g",
        date="2022-01-21",
        params=params,
        workdir=workdir,
        inputs={"level2": [run]},
        options=DestripeOptions(expected=expected),
    )
    return DestripeStage().run(context)


def test_the_file_has_its_layers_and_cards(level2, tmp_path):
    result = made(level2, tmp_path, name="m1", band=7, feeds=(19, 1))
    assert result.products[0].path == "m1_band07_feed01-19.fits"
    assert result.products[0].names == ("2022-01-21/g/m1_band07_feed01-19.fits",)
    with fits.open(tmp_path / result.products[0].path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "NAIVE", "HITS", "RMS", "OBSIDS"]
        header, hits = hdus[0].header, hdus["HITS"].data
        assert (header["BANDIDX"], header["OFFLEN"], header["BUNIT"], header["FEEDS"]) == (7, 100, "K", "1,19")
        assert header["FREQ"] == pytest.approx(33.5e9, rel=5e-3)
        assert header["CTYPE1"] == "GLON-CAR"
        assert np.isnan(hdus[0].data[hits == 0]).all()
        assert np.isfinite(hdus[0].data[hits > 0]).all()
        assert hdus["OBSIDS"].data["OBSID"].tolist() == ["0060001"]
        assert hits.sum() == {figure.name: figure.value for figure in result.figures}["destripe.samples"]


def test_the_same_task_gives_the_same_bytes(level2, tmp_path):
    for name in ("a", "b"):
        made(level2, tmp_path / name, name="m1")
    one, other = (next((tmp_path / name).glob("*.fits")).read_bytes() for name in ("a", "b"))
    assert one == other


def test_members_that_are_missing_degrade(level2, tmp_path):
    figures = {figure.name: figure for figure in made(level2, tmp_path / "a").figures}
    assert figures["destripe.members"].verdict is Verdict.PASS
    figures = {figure.name: figure for figure in made(level2, tmp_path / "b", expected=2).figures}
    assert figures["destripe.members"].verdict is Verdict.DEGRADED


def test_a_solution_that_does_not_converge_fails(level2, tmp_path):
    figures = {figure.name: figure for figure in made(level2, tmp_path / "a").figures}
    assert figures["destripe.residual"].verdict is Verdict.PASS
    figures = {figure.name: figure for figure in made(level2, tmp_path / "b", max_iterations=2).figures}
    assert figures["destripe.residual"].verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        ({"feeds": (5,)}, BadInput, r"no scan of feeds \[5\] in 1 observations"),
        ({"feeds": (5,), "wcs": "Galactic"}, BadInput, r"no data for map map, band 0: .*has none of feeds \[5\]"),
        ({"wcs": "M31"}, BadInput, "no sample on the grid"),
        ({"wcs": "Galctic"}, BadConfig, "grid .* 'Galctic' is unknown; did you mean 'Galactic'"),
        ({"offset_length": 100000}, BadInput, "scans shorter than an offset of 100000 samples"),
        ({"tod": "level2/other"}, BadInput, "has no dataset level2_noise_stats/other/auto_rms"),
        ({"cell_deg": 1e-5}, BadConfig, "a dynamic grid would have"),
    ],
)
def test_t26_a_map_without_data_is_refused_with_its_reason(level2, tmp_path, wanted, error, words):
    with pytest.raises(error, match=words):
        made(level2, tmp_path / "out", **wanted)
    assert not list((tmp_path / "out").iterdir())


def test_one_partition_for_each_map():
    params = DestripeParams(maps=(MapRequest(name="a"), MapRequest(name="b")))
    answer = decide(Problem(None, params, (), (), 4, now=datetime(2026, 1, 1, tzinfo=UTC)))
    assert [(one.key, one.options) for one in answer.choices] == [
        ("map0", {"map": 0, "expected": 4}),
        ("map1", {"map": 1, "expected": 4}),
    ]


def test_bare_files(level2, tmp_path):
    assert recognise(level2) == ("level2", "", "0060001")
    assert recognise(tmp_path / "x.hd5") is None
