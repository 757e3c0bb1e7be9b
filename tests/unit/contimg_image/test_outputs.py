from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from casacore.images import image as casa_image

from contimg.errors import ResourceExhausted
from contimg.radio.gaussians import Beam
from contimg_image.header import celestial, image_header, tag
from contimg_image.outputs import write_casa_image, write_fits
from contimg_image.params import ImageParams

BEAM = Beam(54.0, 48.0, 30.0)
PARAMS = ImageParams(cell_arcsec=15, size=65, robust=0.5)


@pytest.fixture
def header(small_recording, small_vis):
    return image_header(small_recording, small_vis, PARAMS, BEAM, {"GROUPID": "g-1"})


@pytest.fixture
def pixels():
    values = np.random.default_rng(6).normal(size=(65, 65)).astype(np.float32)
    values[3, 4] = np.nan
    return values


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"cell_arcsec": 3, "size": 4800}, "c3as_n4800_r0.0_I"),
        ({"cell_arcsec": 2.5, "robust": -0.5, "size": 100}, "c2.5as_n100_r-0.5_I"),
        ({"weighting": "natural", "size": 64}, "c3as_n64_nat_I"),
    ],
)
def test_tag_names_what_tells_images_apart(params, name):
    assert tag(ImageParams(**params)) == name


def test_header_is_complete_and_read_without_warnings(header, small_vis):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wcs = WCS(header)
    assert wcs.naxis == 4
    assert [header[f"CTYPE{k}"] for k in (1, 2, 3, 4)] == ["RA---SIN", "DEC--SIN", "STOKES", "FREQ"]
    assert (header["BUNIT"], header["RADESYS"], header["GROUPID"]) == ("Jy/beam", "ICRS", "g-1")
    assert header["BMAJ"] * 3600 == pytest.approx(54)
    assert header["CRVAL4"] == pytest.approx(small_vis.freq_hz.mean())
    assert Time(header["DATE-BEG"]).jd == pytest.approx(small_vis.span_jd[0], abs=1e-7)
    assert Time(header["DATE-END"]).jd == pytest.approx(small_vis.span_jd[1], abs=1e-7)
    assert header["MJD-AVG"] == pytest.approx(small_vis.time_jd.mean() - 2400000.5, abs=1e-6)


def test_centre_of_the_image_is_the_phase_centre(header, small_recording):
    place = SkyCoord.from_pixel(32, 32, celestial(header))
    assert place.ra.deg == pytest.approx(np.degrees(small_recording.ra_rad), abs=1e-9)
    assert place.dec.deg == pytest.approx(np.degrees(small_recording.dec_rad), abs=1e-9)
    assert SkyCoord.from_pixel(31, 33, celestial(header)).ra > place.ra


def test_fits_siblings_have_their_units(tmp_path, header, pixels):
    write_fits(tmp_path / "a.fits", pixels, header, "")
    write_fits(tmp_path / "m.fits", pixels, header, "model")
    read = fits.getdata(tmp_path / "a.fits")
    assert read.shape == (1, 1, 65, 65)
    assert np.array_equal(read[0, 0], pixels, equal_nan=True)
    model = fits.getheader(tmp_path / "m.fits")
    assert model["BUNIT"] == "Jy/pixel"
    assert "BMAJ" not in model


def test_a_place_that_cannot_be_written_is_named(tmp_path, header, pixels):
    with pytest.raises(ResourceExhausted, match="cannot be written"):
        write_fits(tmp_path / "missing" / "a.fits", pixels, header, "")
    write_fits(tmp_path / "a.fits", pixels, header, "")
    with pytest.raises(ResourceExhausted, match="cannot be written"):
        write_casa_image(tmp_path / "a.fits", tmp_path / "missing" / "a.image")


def test_casa_image_has_the_same_pixels_and_sky(tmp_path, header, pixels):
    write_fits(tmp_path / "a.fits", pixels, header, "")
    write_casa_image(tmp_path / "a.fits", tmp_path / "2026-01-25T22:26:00.image")
    opened = casa_image(str(tmp_path / "2026-01-25T22:26:00.image"))
    assert np.array_equal(opened.getdata()[0, 0], pixels, equal_nan=True)
    assert opened.unit() == "Jy/beam"
    assert opened.imageinfo()["restoringbeam"]["major"] == {"value": pytest.approx(54.0), "unit": "arcsec"}
    dec, ra = opened.toworld([0, 0, 60, 5])[2:]
    place = SkyCoord.from_pixel(5, 60, celestial(header))
    assert (ra, dec) == pytest.approx((place.ra.rad, place.dec.rad), abs=1e-10)


@pytest.mark.casa
def test_casa_and_astropy_agree(tmp_path, header, pixels):
    write_fits(tmp_path / "a.fits", pixels, header, "")
    write_casa_image(tmp_path / "a.fits", tmp_path / "2026-01-25T22:26:00.image")
    code = (
        "import sys, os, json; from pathlib import Path; from contimg.radio.casa import casa_environment;"
        "os.environ.update(casa_environment(Path(sys.argv[1]))); from casatools import image; ia = image();"
        "ia.open(sys.argv[2]); w = ia.toworld([5, 60, 0, 0], 'n')['numeric'].tolist();"
        "b = ia.restoringbeam()['major']['value'];"
        "print('>>' + json.dumps([w, b, ia.brightnessunit(), ia.getchunk()[:, :, 0, 0].tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "2026-01-25T22:26:00.image")],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(each for each in done.stdout.splitlines() if each.startswith(">>"))
    world, major, unit, values = eval(line[2:], {"NaN": np.nan})  # noqa: S307 - our own output
    place = SkyCoord.from_pixel(5, 60, celestial(header))
    there = SkyCoord(world[0], world[1], unit="rad")
    assert place.separation(there).arcsec < 0.01
    assert world[3] == pytest.approx(header["CRVAL4"])
    assert (major, unit) == (pytest.approx(54.0), "Jy/beam")
    read = np.array(values).T
    good = np.isfinite(pixels)
    assert np.abs(read - pixels)[good].max() <= 1e-6
