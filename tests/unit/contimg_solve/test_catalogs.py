from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from radio_objects import recording_of

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.radio.calibrators import LIST_FREQ_HZ, find
from contimg.radio.coordinates import hour_angle_dec, meridian_icrs
from contimg_solve.catalogs import Sources, apparent_dec_rad, read_sources, seen, with_calibrator
from contimg_solve.params import SolveParams

MJD = 61065.5
CALIBRATOR = find("2355+498")


def recording_at(ra_rad, dec_rad, times=5):
    times_s = MJD * 86400 + np.linspace(-150, 150, times)
    freqs = np.linspace(1.32e9, 1.49e9, 4)
    place = {"ra_rad": ra_rad, "dec_rad": dec_rad, "telescope": "OVRO_MMA"}
    return recording_of(freqs, times_s, ("1",), interval_s=12.0, **place)


def sources_at(ra_deg, dec_deg, flux, index=0.0):
    ra, dec, flux = (np.atleast_1d(np.asarray(x, float)) for x in (ra_deg, dec_deg, flux))
    return Sources(np.radians(ra), np.radians(dec), flux, np.full(len(ra), 1.4e9), np.full(len(ra), index))


def catalog_of(path, **changes):
    columns = {"name": ["a", "b", "c"], "ra_deg": [10.0, 11, 12], "dec_deg": [1.0, 2, 3], "flux_jy": [1.0, 2, np.nan]}
    table = Table(columns | {"frequency_hz": [1.4e9] * 3} | changes)
    table.write(path)
    return {"flags:x": path.parent / "none", "catalog:t": path}


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "csv"])
def test_catalog_is_read_without_sources_of_unknown_flux(tmp_path, suffix):
    found = read_sources(catalog_of(tmp_path / f"c.{suffix}", spectral_index=[-0.1, np.nan, 0]), -0.7)
    assert np.degrees(found.ra_rad) == pytest.approx([10, 11])
    assert found.index.tolist() == [-0.1, -0.7]
    assert found.at(np.array([2.8e9]))[:, 0] == pytest.approx([2**-0.1, 2 * 2**-0.7])


def test_no_catalog_is_none_and_a_broken_one_is_named(tmp_path):
    assert read_sources({"flags:x": tmp_path / "f"}, -0.7) is None
    (tmp_path / "bad.fits").write_text("not a table")
    with pytest.raises(BadConfig, match=r"bad\.fits"):
        read_sources({"catalog:t": tmp_path / "bad.fits"}, -0.7)
    Table({"name": ["a"], "ra_deg": [1.0]}).write(tmp_path / "less.ecsv")
    with pytest.raises(BadConfig, match="no column 'dec_deg'"):
        read_sources({"catalog:t": tmp_path / "less.ecsv"}, -0.7)


def test_calibrator_comes_first_and_once():
    place = (CALIBRATOR.ra_deg, CALIBRATOR.dec_deg)
    alone = with_calibrator(None, CALIBRATOR, -0.5)
    assert (alone.flux_jy[0], alone.frequency_hz[0], alone.index[0]) == (CALIBRATOR.flux_jy, LIST_FREQ_HZ, -0.5)
    both = sources_at([10, place[0]], [50, place[1] + 5 / 3600], [1.0, 2.2], -0.3)
    found = with_calibrator(both, CALIBRATOR, -0.5)
    assert found.flux_jy.tolist() == [2.2, 1.0]  # the catalog knows frequency and index
    assert found.index.tolist() == [-0.3, -0.3]
    far = with_calibrator(sources_at([10], [50], [1.0]), CALIBRATOR, -0.5)
    assert far.flux_jy.tolist() == [CALIBRATOR.flux_jy, 1.0]


def test_flux_of_a_primary_is_that_of_the_scale_whatever_the_catalog_says():
    primary = find("3C286")
    found = with_calibrator(sources_at([primary.ra_deg], [primary.dec_deg], [99.0]), primary, 0.0)
    assert len(found.flux_jy) == 1
    # Perley & Butler 2017 at 1.4134 GHz, from CASA's setjy
    assert found.at(np.array([1.413422e9]))[0, 0] == pytest.approx(15.0159, rel=1e-3)


def test_pointing_is_noted_or_follows_from_the_phase_centre():
    site = telescope("dsa110")
    ra, dec = meridian_icrs(np.array([MJD + 2400000.5]), np.radians(50.0), site)
    recording = recording_at(float(ra[0]), float(dec[0]))
    assert np.degrees(apparent_dec_rad(recording, {"app_dec_deg": 49.0})) == pytest.approx(49)
    assert np.degrees(apparent_dec_rad(recording, {"app_dec_deg": None})) == pytest.approx(50, abs=1e-6)


def test_sky_drifts_through_the_beam():
    site = telescope("dsa110")
    ra, dec = meridian_icrs(np.array([MJD + 2400000.5]), np.radians(50.0), site)
    recording = recording_at(float(ra[0]), float(dec[0]))
    centre = np.degrees([float(ra[0]), float(dec[0])])
    sky = seen(sources_at(*centre[:, None], [2.0]), recording, np.radians(50.0), SolveParams())
    np.testing.assert_allclose(sky.lmn, 0, atol=1e-9)
    flux = sky.flux_jy[:, 0]
    assert flux[2] == pytest.approx(2.0, rel=1e-4)
    angle, _ = hour_angle_dec(ra[0], dec[0], recording.times_s / 86400 + 2400000.5, site)
    x = np.pi * 4.65 * np.sin(np.cos(np.radians(50)) * angle[0]) * recording.freqs_hz / 299792458
    assert flux[0] == pytest.approx(2 * (1 - x**2 / 4 + 5 * x**4 / 192), rel=2e-4)  # (2 J1(x) / x)^2 for small x
    constant = seen(sources_at(*centre[:, None], [2.0]), recording, np.radians(50.0), SolveParams(beam="none"))
    assert (constant.flux_jy == 2).all()


def test_only_what_is_bright_enough_is_modelled():
    site = telescope("dsa110")
    ra, dec = meridian_icrs(np.array([MJD + 2400000.5]), np.radians(50.0), site)
    recording = recording_at(float(ra[0]), float(dec[0]))
    ra_deg, dec_deg = np.degrees(float(ra[0])), np.degrees(float(dec[0]))
    many = sources_at(
        [ra_deg, ra_deg, ra_deg, ra_deg + 90], [dec_deg, dec_deg + 0.1, dec_deg + 2.3, dec_deg], [4e-3, 0.01, 0.01, 9]
    )
    assert seen(many, recording, np.radians(50.0), SolveParams()).lmn.shape == (1, 3)
    assert seen(many, recording, np.radians(50.0), SolveParams(), first=1).flux_jy[2, 0, 0] == pytest.approx(
        4e-3, rel=0.01
    )
    assert seen(many, recording, np.radians(50.0), SolveParams(min_model_mjy=1, max_sources=2)).lmn.shape == (2, 3)
    assert seen(many, recording, np.radians(50.0), SolveParams(min_model_mjy=100)) is None


def test_first_catalog_by_name_is_read(tmp_path):
    catalog_of(tmp_path / "b.ecsv")
    catalog_of(tmp_path / "a.ecsv", flux_jy=[5.0, 6.0, 7.0])
    both = {"catalog:b": tmp_path / "b.ecsv", "catalog:a": tmp_path / "a.ecsv"}
    assert read_sources(both, -0.7).flux_jy.tolist() == [5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"flux_jy": [-1.0, 0.0, 2.0]},
        {"frequency_hz": [0.0, -1.0, 1.4e9]},
        {"ra_deg": [np.nan, np.inf, 3.0]},
        {"dec_deg": [np.nan, np.inf, 3.0]},
    ],
)
def test_rows_that_are_no_sources_are_left_out(tmp_path, changes):
    clean = {"flux_jy": [1.0, 1.0, 1.0]} | changes
    assert len(read_sources(catalog_of(tmp_path / "c.ecsv", **clean), -0.7).flux_jy) == 1


@pytest.mark.parametrize("missing", ["name", "ra_deg", "dec_deg", "flux_jy", "frequency_hz"])
def test_each_missing_column_is_named_with_those_needed(tmp_path, missing):
    catalog_of(tmp_path / "c.ecsv")
    table = Table.read(tmp_path / "c.ecsv")
    table.remove_column(missing)
    table.write(tmp_path / "less.ecsv")
    with pytest.raises(BadConfig, match=rf"less\.ecsv has no column '{missing}'; it needs name, ra_deg"):
        read_sources({"catalog:t": tmp_path / "less.ecsv"}, -0.7)


def test_empty_catalog_leaves_the_calibrator_alone():
    nothing = sources_at([], [], [])
    assert with_calibrator(nothing, CALIBRATOR, -0.5).flux_jy.tolist() == [CALIBRATOR.flux_jy]
    assert seen(nothing, recording_at(0.1, 0.3), 0.3, SolveParams(beam="none")) is None


def test_no_beam_leaves_fluxes_as_they_are_and_the_brightest_are_kept():
    ra, dec = np.degrees(0.1), np.degrees(0.3)
    flux = np.array([0.2, 0.9, 0.5, 0.7])
    sources = sources_at(ra + np.array([0.1, 0.2, -0.1, -0.2]), np.full(4, dec), flux)
    sky = seen(sources, recording_at(0.1, 0.3), 0.3, SolveParams(beam="none", max_sources=3))
    assert sky.flux_jy.shape == (5, 3, 4)
    assert sky.flux_jy[0, :, 0] == pytest.approx([0.9, 0.7, 0.5])
    assert (sky.flux_jy == sky.flux_jy[:1]).all()


def test_flux_at_the_limit_is_kept_and_below_it_is_not():
    one = sources_at([np.degrees(0.1)], [np.degrees(0.3)], [0.0050001])
    where = recording_at(0.1, 0.3)
    assert seen(one, where, 0.3, SolveParams(beam="none", min_model_mjy=5.0)) is not None
    assert seen(one, where, 0.3, SolveParams(beam="none", min_model_mjy=5.01)) is None
    assert seen(one, where, 0.3, SolveParams(beam="none", min_model_mjy=1e6), first=1) is not None


@pytest.mark.parametrize(("offset_deg", "kept"), [(5.9, True), (6.1, False)])
def test_sources_beyond_six_degrees_do_not_count_however_bright(offset_deg, kept):
    far = sources_at([np.degrees(0.1)], [np.degrees(0.3) + offset_deg], [1e6])
    sky = seen(far, recording_at(0.1, 0.3), 0.3, SolveParams(beam="none"))
    assert (sky is not None) == kept
