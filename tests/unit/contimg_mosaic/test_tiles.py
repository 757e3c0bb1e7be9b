"""Members of a mosaic: what is read of them, and the sentences for those that cannot be used."""

import numpy as np
import pytest
from astropy.io import fits
from skies import sin_wcs, write_fits

from contimg.errors import BadInput
from contimg_mosaic.tiles import open_tile

SHAPE = (20, 30)


@pytest.fixture
def paths(tmp_path):
    wcs = sin_wcs(359.9, 33.0, 30.0, SHAPE)
    made = tmp_path / "i.fits", tmp_path / "p.fits"
    write_fits(made[0], np.arange(600.0).reshape(SHAPE), wcs, 120.0)
    write_fits(made[1], np.full(SHAPE, 0.5), wcs, 120.0)
    return made


@pytest.mark.parametrize("rms", [0.0, -1e-3, float("nan"), float("inf")])
def test_noise_must_be_a_positive_number(paths, rms):
    with pytest.raises(BadInput, match=rf"the noise of i\.fits is {rms} Jy/beam; it must be a positive number"):
        open_tile(*paths, rms)


def test_pixels_and_beam_are_those_of_the_files(paths):
    tile = open_tile(*paths, 1e-3)
    assert tile.image().dtype == np.float32
    assert tile.image()[3, 4] == 3 * 30 + 4
    assert tile.shape == SHAPE
    assert (tile.beam.major_arcsec, tile.beam.minor_arcsec, tile.beam.pa_deg) == pytest.approx((120, 120, 0))
    assert tile.centre[0] == pytest.approx(359.9)


def test_beam_that_is_not_defined_counts_as_none(paths):
    with fits.open(paths[1], mode="update") as hdus:
        hdus[0].data[..., 5, 6] = np.nan
    pb = open_tile(*paths, 1e-3).pb()
    assert pb[5, 6] == 0
    assert np.isfinite(pb).all()


def test_image_without_position_angle_has_a_beam_to_the_north(paths):
    with fits.open(paths[0], mode="update") as hdus:
        del hdus[0].header["BPA"]
    assert open_tile(*paths, 1e-3).beam.pa_deg == 0


def test_image_without_frequency_axis_has_no_band(paths):
    with fits.open(paths[0], mode="update") as hdus:
        hdus[0].header["CTYPE4"] = "OTHER"
    assert np.isnan(open_tile(*paths, 1e-3).band_hz).all()
