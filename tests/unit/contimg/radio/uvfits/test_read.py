from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest
import pyuvdata_reader
from pyuvdata import UVData

from contimg.errors import BadInput
from contimg.instruments import telescope
from contimg.radio.casa import casa_environment
from contimg.radio.coordinates import jd
from contimg.radio.ms import write as ms
from contimg.radio.uvfits import read as uvfits

SOURCE = "N5921_2"


def window(start, end):
    return tuple(jd(datetime.fromisoformat(f"1995-04-13T{t}+00:00")) for t in (start, end))


@pytest.fixture(scope="module")
def scan(ngc5921):
    return uvfits.read_scan(ngc5921, *window("09:32:16", "09:47:46"), SOURCE, 3)


def test_scan_of_uvfits(scan):
    assert scan.vis.shape == (6048, 63, 2)
    assert len(np.unique(scan.time_jd)) == 16
    assert scan.corr_types == (5, 8)
    assert scan.frequency_frame == "LSRK"
    assert scan.antennas.names[0] == "1"
    assert scan.antennas.stations[0] == "VLA:N7"
    assert "23" not in scan.antennas.names  # VLA:OUT has no data
    assert np.degrees([scan.ra_rad, scan.dec_rad]) == pytest.approx([230.5, 5.066667], abs=2e-5)
    assert (scan.antenna1 <= scan.antenna2).all()


def test_unknown_source_is_named(ngc5921):
    with pytest.raises(BadInput, match=r"NGC5921\.fits, scan 3 of 'M31', cannot be read"):
        uvfits.read_scan(ngc5921, *window("09:32:16", "09:47:46"), "M31", 3)


def test_time_without_data_is_named(ngc5921):
    with pytest.raises(BadInput, match="scan 3"):
        uvfits.read_scan(ngc5921, *window("12:00:00", "12:01:00"), SOURCE, 3)


@pytest.fixture
def uv(originals):
    return pyuvdata_reader.read_uvh5(originals[0])


def test_several_phase_centres_are_refused(uv):
    uv.phase_center_id_array[:4] = 99
    with pytest.raises(BadInput, match="holds 2 phase centres in one scan"):
        uvfits.from_uvdata(uv)


def test_stokes_parameters_are_refused(uv):
    uv.polarization_array = np.array([1, 2])
    with pytest.raises(BadInput, match=r"polarizations \[1 2\] are not among RR…LL or XX…YY"):
        uvfits.from_uvdata(uv)


def test_uneven_channels_are_refused(uv):
    uv.freq_array = uv.freq_array + np.array([0, 0, 0, 1e6])
    with pytest.raises(BadInput, match="Hz apart, not equally far"):
        uvfits.from_uvdata(uv)


def test_blank_samples_are_flagged(uv):
    """Zeros and NaN, like in the first reader; the weight is the mean over what is left."""
    uv.data_array[0, 0], uv.data_array[0, 1] = 0, np.nan
    uv.nsample_array[0] = np.array([1, 1, 5, 7])[:, None]
    uv.phase(lon=1.0, lat=0.3, phase_frame="icrs", cat_name="x")
    data = uvfits.from_uvdata(uv)
    assert data.flag.sum() == 4
    assert not data.vis[data.flag].any()
    assert sorted(set(data.weight[:, 0].tolist())) == [6, 96]


def test_turned_baselines_change_sign_and_hands():
    vis = np.arange(8).reshape(2, 1, 4) + 1j
    flag = vis.real == 5
    uvfits._conjugate(vis, flag, np.array([False, True]), [5, 6, 7, 8])
    assert vis[0, 0].tolist() == [0 + 1j, 1 + 1j, 2 + 1j, 3 + 1j]
    assert vis[1, 0].tolist() == [4 - 1j, 6 - 1j, 5 - 1j, 7 - 1j]
    assert flag[1, 0].tolist() == [False, False, True, False]


def test_pyuvdata_reads_our_measurement_set(reference, tmp_path):
    """What pyuvdata reads back is what was written, in its own sense."""
    ms.write(tmp_path / "x.ms", reference, telescope("dsa110"))
    uv = UVData.from_file(str(tmp_path / "x.ms"), run_check=False)
    back = uvfits.from_uvdata(uv)
    assert np.array_equal(back.vis, reference.vis)
    assert np.abs(back.uvw_m - reference.uvw_m).max() < 1e-9
    assert back.antennas.names == reference.antennas.names
    assert back.source == "meridian"
    assert np.allclose([back.ra_rad, back.dec_rad], [reference.ra_rad % (2 * np.pi), reference.dec_rad], atol=1e-12)


@pytest.mark.casa
def test_scan_equals_casas_own_import(scan, ngc5921, tmp_path):
    """importuvfits fills the same numbers; it keeps the file's clock, TAI, which was 29 s ahead."""
    ms.write(tmp_path / "ours.ms", scan, telescope("vla"))
    code = f"""
import numpy as np
from casatasks import importuvfits
from casatools import table
importuvfits(fitsfile={str(ngc5921)!r}, vis="casa.ms")
def columns(name):
    tb = table()
    tb.open(name + "/ANTENNA"); names = np.array(tb.getcol("NAME")); tb.close()
    tb.open(name)
    got = [tb.getcol(c) for c in ("TIME", "ANTENNA1", "ANTENNA2", "DATA", "UVW")]
    tb.close()
    return [got[0], names[got[1]], names[got[2]], *got[3:]]
ours, casa = columns("ours.ms"), columns("casa.ms")
casa[0] = casa[0] - 29
where = dict((key, n) for n, key in enumerate(zip(np.round(casa[0]), casa[1], casa[2])))
match = [where[key] for key in zip(np.round(ours[0]), ours[1], ours[2])]
casa = [casa[0][match], None, None, casa[3][:, :, match], casa[4][:, match]]
print(*(np.abs(casa[n] - ours[n]).max() for n in (3, 4, 0)))
"""
    env = os.environ | casa_environment(tmp_path)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    data, uvw, time = (float(word) for word in done.stdout.split()[-3:])
    assert data == 0
    assert uvw == 0
    assert time < 0.006
