from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import casacore.tables as ct
import h5py
import pytest
from uvh5 import write_set

from contimg.errors import BadInput
from contimg.models.observation import ObservationRecord, ObservationState, RawFile, Role
from contimg.models.quality import Verdict
from contimg.models.spec import effective, load
from contimg.stage import StageContext
from contimg_convert.params import SPEC, ConvertParams
from contimg_convert.stage import Convert

START = datetime(2026, 1, 25, 22, 25, 53, 558000, tzinfo=UTC)
ID = "2026-01-25T22:25:54"


def record(**changes):
    file = RawFile(path="x", role="sb00", bytes=1, digest="d")
    values = {
        "id": ID,
        "instrument": "dsa110",
        "state": ObservationState.SEALED,
        "start": START,
        "end": datetime(2026, 1, 25, 22, 26, 33, tzinfo=UTC),
        "integrations": 3,
        "integration_s": 12.9,
        "ra_deg": 343.2,
        "dec_deg": 16.0,
        "files": (file,),
        "digest": "d",
        "bytes": 1,
        "expected": 16,
        "sealed_at": START,
    }
    return ObservationRecord(**(values | changes))


def context(tmp_path, raw, observation, **changes):
    params = {"rfi": "none", "mad_clip": 0, "min_antennas": 4, "edge_fraction": 0} | changes
    work = tmp_path / "work"
    work.mkdir()
    return StageContext(
        unit=observation.id,
        group="g",
        date=observation.id[:10],
        params=ConvertParams(**params),
        workdir=work,
        observation=observation,
        raw=tuple(raw),
    )


def figures(result):
    return {figure.name: figure for figure in result.figures}


def test_spec_is_complete_and_its_runner_exists():
    assert load(SPEC.runner) is Convert
    assert effective(SPEC, {})["mad_clip"] == 7.0
    assert all(field.description for field in ConvertParams.model_fields.values())


def test_drift_observation(tmp_path, originals, recording):
    calls = []
    job = context(tmp_path, originals, record())
    object.__setattr__(job, "report", lambda *what: calls.append(what))
    result = Convert().run(job)
    (draft,) = result.products
    assert draft.path == f"{ID}.ms"
    assert draft.names == (f"science/2026-01-25/{ID}.ms",)
    with ct.table(str(job.workdir / draft.path), ack=False) as table:
        assert table.nrows() == 63
        auto = table.getcol("ANTENNA1") == table.getcol("ANTENNA2")
        assert table.getcol("FLAG")[auto].all()
        assert not table.getcol("FLAG")[~auto].any()
    info = result.info
    centre = recording.centre()
    assert (info["ra_deg"], info["dec_deg"]) == pytest.approx((centre.ra.deg, centre.dec.deg), abs=1e-6)
    assert info["app_dec_deg"] == pytest.approx(16.15)
    assert info["start"] == "2026-01-25T22:25:53.558Z"
    assert info["antennas"] == list(recording.names)
    assert info["freq_hz"][2] == 64
    found = figures(result)
    assert found["convert.flagged"].value == 0
    assert found["convert.antennas"].value == 6
    assert found["convert.uvw_error"].value < 0.001
    assert found["convert.position_error"].value < 1e-3
    assert all(figure.verdict is Verdict.PASS for figure in result.figures)
    assert calls[-1] == (4, 4, "done")


def test_limits_give_verdicts(tmp_path, originals):
    observation = record(files=record().files * 16)
    result = Convert().run(context(tmp_path, originals[:6], observation, min_antennas=70))
    found = figures(result)
    assert found["convert.flagged"].value == pytest.approx(10 / 16)
    assert found["convert.flagged"].verdict is Verdict.FAILED
    assert found["convert.antennas"].verdict is Verdict.DEGRADED


def test_calibrator_recording_has_two_names(tmp_path, recording):
    """3C 454.3 (2253+161, 10 Jy) crosses the meridian at 22:27:24.4 UTC, inside this recording."""
    paths = write_set(tmp_path / "set", replace(recording, start="2026-01-25T22:27:10"))
    result = Convert().run(context(tmp_path, paths, record()))
    (found,) = result.info["calibrators"]
    assert found["name"] == "2253+161"
    assert found["transit"].startswith("2026-01-25T22:27:24")
    assert result.products[0].names == (f"science/2026-01-25/{ID}.ms", f"calibrators/2026-01-25/{ID}.ms")


def test_manual_flags_enter(tmp_path, originals):
    job = context(tmp_path, originals, record())
    path = tmp_path / "2026-01-25.txt"
    path.write_text("*, *, 0-31, test\n")
    job.reference["flags:2026-01-25"] = path
    assert figures(Convert().run(job))["convert.flagged"].value == pytest.approx(0.5)


def test_interference_flaggers_run(tmp_path, originals):
    result = Convert().run(context(tmp_path, originals, record(), rfi="array", mad_clip=7.0))
    assert result.info["flagged"] < 0.2


@pytest.mark.parametrize(
    ("source", "role", "directory"),
    [("1445+09900002_0", Role.GAIN, "calibrators"), ("N5921_2", Role.TARGET, "science")],
)
def test_scan_of_a_pointed_array(tmp_path, ngc5921, source, role, directory):
    start, end = ("09:26:46", "09:29:16") if role is Role.GAIN else ("09:32:16", "09:47:46")
    times = {n: datetime.fromisoformat(f"1995-04-13T{t}+00:00") for n, t in (("start", start), ("end", end))}
    name = f"1995-04-13T{start}"
    observation = record(id=name, instrument="vla", expected=1, role=role, source=source, scan=2, **times)
    result = Convert().run(context(tmp_path, [ngc5921], observation))
    assert result.products[0].names == (f"{directory}/1995-04-13/{name}.ms",)
    assert result.info["app_dec_deg"] is None
    assert result.info["start"] == f"{name}.000Z"
    assert result.info["source"] == source
    assert len(result.info["antennas"]) == 27
    assert all(figure.verdict is Verdict.PASS for figure in result.figures)


def test_nothing_but_flags_is_refused(tmp_path, originals):
    job = context(tmp_path, originals, record())
    path = tmp_path / "2026-01-25.txt"
    path.write_text("*, *, *, storm\n")
    job.reference["flags:2026-01-25"] = path
    with pytest.raises(BadInput, match=f"all visibilities of observation {ID} are zero, NaN or flagged"):
        Convert().run(job)


def test_thorough_flagger_runs(tmp_path, originals):
    result = Convert().run(context(tmp_path, originals, record(), rfi="aoflagger"))
    assert result.info["flagged"] < 0.3


def test_stations_out_of_place_degrade(tmp_path, subbands):
    for path in subbands:
        with h5py.File(path, "a") as file:
            places = file["Header/antenna_positions"][()]
            places[0] += [0.1, 0.0, 0.0]
            file["Header/antenna_positions"][...] = places
    found = figures(Convert().run(context(tmp_path, subbands, record(), max_uvw_error_lambda=0)))
    assert found["convert.position_error"].value == pytest.approx(0.1, abs=1e-3)
    assert found["convert.position_error"].verdict is Verdict.DEGRADED
    assert found["convert.uvw_error"].value > 0.1
    assert found["convert.uvw_error"].verdict is Verdict.PASS  # switched off


def test_wrong_uvw_fail(tmp_path, subbands):
    with h5py.File(subbands[0], "a") as file:
        file["Header/uvw_array"][:, 2] += 0.05
    found = figures(Convert().run(context(tmp_path, subbands, record())))
    assert found["convert.uvw_error"].verdict is Verdict.FAILED


def test_by_hand_some_files_are_enough(tmp_path, originals):
    job = replace(context(tmp_path, originals[14:], record()), observation=None)
    result = Convert().run(job)
    assert result.info["freq_hz"][2] == 64
    assert result.info["flagged"] == pytest.approx(14 / 16)


def test_scan_needs_its_record(tmp_path, ngc5921):
    job = replace(context(tmp_path, [ngc5921], record()), observation=None)
    with pytest.raises(BadInput, match="needs the observation record"):
        Convert().run(job)


def test_missing_raw_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"raw file .*gone_sb00\.hdf5 of observation 2026-01-25T22:25:54 is missing"):
        Convert().run(context(tmp_path, [tmp_path / "gone_sb00.hdf5"], record()))


def test_no_raw_file(tmp_path):
    with pytest.raises(BadInput, match="has no raw files"):
        Convert().run(context(tmp_path, [], record()))
