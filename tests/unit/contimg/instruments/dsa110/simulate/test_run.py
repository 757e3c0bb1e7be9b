import hashlib
import json
import re

import h5py
import numpy as np
import pytest
from astropy.table import Table

from contimg.errors import BadConfig
from contimg.instruments.dsa110.simulate import Rfi, Source, Truth, preset, simulate_dsa110

NAME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}_sb\d{2}\.hdf5")
SMALL = {"integrations": 2, "stations": (1, 51, 102, 103), "drawn": None}


def simulated(path, **changes):
    return simulate_dsa110(path, preset("tiny", **(SMALL | changes)))


def seconds_early(observation, name):
    stamp = np.datetime64(name.split("_")[0].removeprefix("late/"))
    return float((np.datetime64(observation.start.replace(tzinfo=None)) - stamp) / np.timedelta64(1, "s"))


def test_sixteen_files_and_the_truth_beside_them(tmp_path):
    lines = []
    truth = simulate_dsa110(tmp_path / "new" / "run", preset("tiny", **SMALL), lines.append)
    out = tmp_path / "new" / "run"
    (observation,) = truth.observations
    assert lines == [f"observation 1/1 {observation.id}: 16 files"]
    assert {each.name for each in out.glob("*.hdf5")} == {each.name for each in observation.files}
    assert all(NAME.fullmatch(each.name) for each in observation.files)
    for each in observation.files:
        assert hashlib.sha256((out / each.name).read_bytes()).hexdigest() == each.sha256
    assert Truth.model_validate_json((out / "truth.json").read_text()) == truth
    gains = np.load(out / truth.gains)
    assert gains["bandpass"].shape == (4, 2, 32)
    assert list(gains["stations"]) == list(truth.stations) == [1, 51, 102, 103]
    catalog = Table.read(out / truth.catalog)
    assert list(catalog["name"]) == [each.name for each in truth.sources]
    assert catalog["frequency_hz"][0] == truth.reference_hz == 1.4e9
    assert truth.thermal_jy == pytest.approx(truth.noise_jy / np.sqrt(2 * 6 * 2 * 32))


def test_every_subband_tells_the_same_times_and_its_own_channels(tmp_path):
    truth = simulated(tmp_path)
    (observation,) = truth.observations
    starts = set()
    for each in observation.files:
        with h5py.File(tmp_path / each.name) as handle:
            starts.add(handle["Header/time_array"][0])
            np.testing.assert_array_equal(handle["Header/freq_array"][0], truth.freq_hz[each.subband])
    assert starts == {observation.times_jd[0]}
    centre = (observation.times_jd[0] - 2440587.5) * 86400
    assert centre - observation.start.timestamp() == pytest.approx(12.884901888 / 2, abs=1e-3)
    assert abs(np.datetime64(observation.id) - np.datetime64(observation.start.replace(tzinfo=None))) <= np.timedelta64(
        500, "ms"
    )


def test_same_configuration_same_bytes(tmp_path):
    first = simulated(tmp_path / "a", rfi=Rfi(), dropouts=0.1)
    second = simulated(tmp_path / "b", rfi=Rfi(), dropouts=0.1)
    assert first == second
    other = simulated(tmp_path / "c", rfi=Rfi(), dropouts=0.1, seed=2)
    assert not {each.sha256 for each in first.observations[0].files} & {
        each.sha256 for each in other.observations[0].files
    }


def test_names_follow_the_hosts_and_not_the_data(tmp_path):
    truth = simulated(tmp_path, observations=3, restarts=(1,))
    steady, restarted, _ = truth.observations
    early = [seconds_early(steady, each.name) for each in steady.files]
    assert all(-6.5 < each < -3.4 for each in early), "about 5 s after the start of the data"
    assert len({each.name.split("_")[0] for each in steady.files}) <= 3
    early = [seconds_early(restarted, each.name) for each in restarted.files]
    assert all(81 < each < 102 for each in early), "about 100 s before the start of the data"
    assert np.ptp(early) > 5
    gap = (restarted.start - steady.end).total_seconds()
    assert gap == pytest.approx(399.0, abs=1e-3)


def test_missing_late_and_doubled_files(tmp_path):
    truth = simulated(
        tmp_path,
        observations=2,
        missing_subbands={0: (3, 9)},
        late_subbands={0: (4,)},
        duplicate_subbands={1: (0,)},
        unlike_subbands={1: (5,)},
    )
    first, second = truth.observations
    assert first.missing_subbands == (3, 9)
    assert sorted(each.subband for each in first.files) == [sb for sb in range(16) if sb not in (3, 9)]
    (late,) = [each for each in first.files if each.kind == "late"]
    assert late.name.startswith("late/")
    assert (tmp_path / late.name).is_file()
    assert not (tmp_path / late.name.removeprefix("late/")).exists()
    assert len(second.files) == 18
    plain = {each.subband: each for each in second.files if each.kind == "plain"}
    (twin,) = [each for each in second.files if each.kind == "duplicate"]
    (unlike,) = [each for each in second.files if each.kind == "unlike"]
    assert twin.sha256 == plain[0].sha256
    assert twin.name != plain[0].name
    assert unlike.sha256 != plain[5].sha256
    assert (tmp_path / twin.name).read_bytes() == (tmp_path / plain[0].name).read_bytes()


def test_dropouts_are_zeros_and_the_only_zeros(tmp_path):
    truth = simulated(tmp_path, dropouts=0.2)
    (observation,) = truth.observations
    assert 1 <= len(observation.dropouts) < 16
    for each in observation.files:
        with h5py.File(tmp_path / each.name) as handle:
            data = handle["Data/visdata"][()].reshape(2, 10, -1)
        empty = {t for t in range(2) if not data[t].any()}
        assert empty == {t for sb, t in observation.dropouts if sb == each.subband}
        assert all(data[t].all() for t in {0, 1} - empty)


def test_directory_that_holds_a_simulation_is_refused(tmp_path):
    simulated(tmp_path)
    with pytest.raises(BadConfig, match=r"already holds a simulation \(truth.json\)"):
        simulated(tmp_path)


def test_truth_is_plain_json(tmp_path):
    simulated(tmp_path)
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert truth["sources"][0]["name"] == "2355+498"
    assert truth["config"]["calibrator"] == "2355+498"


def test_pyuvdata_moves_the_phase_centre_onto_a_source(tmp_path):
    """The reference reader, told that the data are stopped on the meridian, finds the source where it is."""
    pyuvdata = pytest.importorskip("pyuvdata")
    source = Source(name="NE", ra_deg=359.2, dec_deg=50.3, flux_jy=2.0)
    truth = simulate_dsa110(
        tmp_path,
        preset(
            "tiny",
            drawn=None,
            sources=(source,),
            gains=None,
            sefd_jy=0.0,
            calibrator=None,
            start="2026-01-25T23:28:02Z",
        ),
    )
    name = next(each.name for each in truth.observations[0].files if each.subband == 15)
    uvdata = pyuvdata.UVData()
    uvdata.read(tmp_path / name, file_type="uvh5", run_check=False, run_check_acceptability=False)
    uvdata.uvw_array = uvdata.uvw_array.astype(np.float64)
    _stop_on_meridian(uvdata, truth.config.dec_deg)
    uvdata.phase(
        lon=np.radians(source.ra_deg),
        lat=np.radians(source.dec_deg),
        cat_type="sidereal",
        cat_name="NE",
        phase_frame="icrs",
    )
    flat = uvdata.data_array[..., 0].reshape(4, 55, 2)
    phase = np.degrees(np.angle(flat))
    assert np.abs(phase).max() < 0.5, "0.7 arcsec between the places of pyuvdata and astropy over 1.5 km"
    assert np.ptp(np.abs(flat[0, :, 0])) < 1e-5, "one point source"
    assert 1.2 < np.abs(flat[0, 0, 0]) < 2.0, "attenuated by the beam"


def _stop_on_meridian(uvdata, dec_deg):
    latitude = uvdata.telescope.location.lat.deg
    (catalog_id,) = uvdata.phase_center_catalog
    uvdata._clear_unused_phase_centers()
    uvdata.phase_center_catalog[catalog_id] = {
        "cat_name": "meridian",
        "cat_type": "driftscan",
        "cat_lon": np.pi if dec_deg < latitude else 0.0,
        "cat_lat": np.radians(90 - abs(latitude - dec_deg)),
        "cat_frame": "altaz",
        "cat_epoch": None,
        "cat_times": None,
        "cat_pm_ra": None,
        "cat_pm_dec": None,
        "cat_vrad": None,
        "cat_dist": None,
        "info_source": "file",
    }
    uvdata._set_app_coords_helper()
