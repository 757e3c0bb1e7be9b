from __future__ import annotations

import os
import shutil
import subprocess
import sys

import casacore.tables as ct
import numpy as np
import pytest

from contimg.instruments import telescope
from contimg.radio.casa import casa_environment
from contimg.radio.ms import write as measurement_set


@pytest.fixture(scope="module")
def written(reference, tmp_path_factory):
    path = tmp_path_factory.mktemp("ms") / "x.ms"
    measurement_set.write(path, reference, telescope("dsa110"))
    return path


def column(path, name):
    with ct.table(str(path), ack=False) as table:
        return table.getcol(name)


def test_columns_are_what_was_given(written, reference):
    assert np.array_equal(column(written, "DATA"), reference.vis)
    assert np.array_equal(column(written, "FLAG"), reference.flag)
    assert np.array_equal(column(written, "UVW"), reference.uvw_m)
    assert np.array_equal(column(written, "WEIGHT"), reference.weight)
    assert np.allclose(column(written, "SIGMA"), 1 / np.sqrt(96))
    assert np.allclose(column(written, "TIME") / 86400 + 2400000.5, reference.time_jd, rtol=0, atol=1e-9)
    assert np.array_equal(column(written, "ANTENNA1"), reference.antenna1)


def test_blocks_join_without_a_seam(reference, tmp_path, monkeypatch):
    monkeypatch.setattr(measurement_set, "BLOCK_BYTES", 10_000)
    measurement_set.write(tmp_path / "x.ms", reference, telescope("dsa110"))
    assert np.array_equal(column(tmp_path / "x.ms", "DATA"), reference.vis)
    assert np.array_equal(column(tmp_path / "x.ms", "FLAG"), reference.flag)


def test_one_field_at_the_icrs_phase_centre(written, reference):
    direction = column(written / "FIELD", "PHASE_DIR")
    assert direction.shape == (1, 1, 2)
    assert direction[0, 0] == pytest.approx([reference.ra_rad, reference.dec_rad], abs=1e-14)
    with ct.table(str(written / "FIELD"), ack=False) as table:
        assert table.getcolkeyword("PHASE_DIR", "MEASINFO")["Ref"] == "ICRS"


def test_one_ascending_window_and_names(written, reference):
    assert np.array_equal(column(written / "SPECTRAL_WINDOW", "CHAN_FREQ")[0], reference.freq_hz)
    assert column(written / "SPECTRAL_WINDOW", "MEAS_FREQ_REF").tolist() == [5]
    assert column(written / "POLARIZATION", "CORR_TYPE").tolist() == [[9, 12]]
    assert column(written / "POLARIZATION", "CORR_PRODUCT").tolist() == [[[0, 0], [1, 1]]]
    assert column(written / "ANTENNA", "NAME") == list(reference.antennas.names)
    assert column(written / "OBSERVATION", "TELESCOPE_NAME") == ["OVRO_MMA"]
    assert np.allclose(column(written / "ANTENNA", "DISH_DIAMETER"), 4.65)


def test_existing_table_is_not_overwritten(reference, tmp_path):
    (tmp_path / "x.ms").write_text("something else")
    with pytest.raises(RuntimeError):
        measurement_set.write(tmp_path / "x.ms", reference, telescope("dsa110"))


@pytest.mark.skipif(shutil.which("wsclean") is None, reason="wsclean is not installed")
def test_wsclean_finds_the_source_to_the_north_east(written, recording, tmp_path):
    """WSClean shares no code with the writer; a dirty image is enough to see signs and orientation."""
    from astropy.io import fits  # noqa: PLC0415 - only here
    from astropy.wcs import WCS  # noqa: PLC0415 - same

    command = ["wsclean", "-name", "x", "-size", "1024", "1024", "-scale", "6asec", "-weight", "natural", "-pol", "I"]
    command += ["-use-wgridder", "-j", "2", "-niter", "0", "-quiet", str(written)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    image, header = fits.getdata(tmp_path / "x-dirty.fits")[0, 0], fits.getheader(tmp_path / "x-dirty.fits")
    y, x = np.unravel_index(image.argmax(), image.shape)
    found = WCS(header).celestial.pixel_to_world(x, y)
    (source, flux), *_ = recording.sources()
    assert found.separation(source).arcsec < 12
    assert found.ra > recording.centre().ra
    assert found.dec > recording.centre().dec
    assert image.max() == pytest.approx(flux, rel=0.05)


@pytest.mark.casa
def test_casa_solves_applies_and_images(written, recording, tmp_path):
    """gaincal on a point model at the source's place, applycal, tclean: the source is where it was put."""
    shutil.copytree(written, tmp_path / "x.ms")
    (source, flux), *_ = recording.sources()
    place = f"ICRS {source.ra.deg}deg {source.dec.deg}deg"
    code = f"""
from casatasks import applycal, flagdata, gaincal, imstat, tclean
from casatools import componentlist
flagdata(vis="x.ms", mode="manual", autocorr=True, flagbackup=False)
cl = componentlist()
cl.addcomponent(flux={flux}, fluxunit="Jy", shape="point", dir="{place}", freq="1.4GHz")
cl.rename("x.cl"); cl.close()
from casatasks import ft
ft(vis="x.ms", complist="x.cl", usescratch=True)
gaincal(vis="x.ms", caltable="x.g", solint="inf", refant="47", minblperant=2, minsnr=1)
applycal(vis="x.ms", gaintable=["x.g"], flagbackup=False)
tclean(vis="x.ms", imagename="x", imsize=1024, cell="6arcsec", weighting="natural", gridder="wproject", wprojplanes=16,
       niter=0, datacolumn="corrected", phasecenter="{place}", pbcor=False)
found = imstat("x.image")
print(found["max"][0], *found["maxpos"][:2])
"""
    env = os.environ | casa_environment(tmp_path)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    peak, x, y = (float(word) for word in done.stdout.split()[-3:])
    assert peak == pytest.approx(flux, rel=0.02)
    assert (x, y) == pytest.approx((512, 512), abs=1)
