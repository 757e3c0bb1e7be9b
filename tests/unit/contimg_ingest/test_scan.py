from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from uvh5 import Recording, write_set

from contimg.errors import BadConfig, BadInput
from contimg.instruments.dsa110.instrument import Dsa110
from contimg.models.observation import ObservationRecord, ObservationState, Role
from contimg.radio.telescopes import Telescope
from contimg_ingest import scan

START = "2026-01-25T22:25:54"


def fill(site, subbands, but=()):
    return [site.put(path) for n, path in enumerate(subbands) if n not in but]


def test_complete_set_is_sealed_with_the_time_of_the_data(site, subbands):
    fill(site, subbands)
    assert not site.scan().records  # files may still be growing
    (record,) = site.scan(0.1).records
    assert record.id == START  # the names say 22:26:05
    assert record.state is ObservationState.SEALED
    assert [file.role for file in record.files] == [f"sb{n:02d}" for n in range(16)]
    assert record.integrations == 2
    assert record.bytes == sum(path.stat().st_size for path in subbands)
    stored = site.observations / "2026-01-25" / f"{START}.json"
    assert ObservationRecord.model_validate_json(stored.read_text()) == record


def test_record_knows_the_meridian_and_the_next_transits(site, subbands):
    fill(site, subbands)
    site.scan()
    (record,) = site.scan(1).records
    centre = Recording(integrations=2).centre()  # by astropy's HADec
    assert record.ra_deg == pytest.approx(centre.ra.deg, abs=1e-6)
    assert record.dec_deg == pytest.approx(16.15, abs=1e-9)  # apparent: what the dishes point at
    assert [t.name for t in record.next_transits]
    assert all(0 < (t.transit - record.end).total_seconds() < 86400 for t in record.next_transits)


def test_file_that_still_grows_waits(site, subbands):
    files = fill(site, subbands)
    site.scan()
    site.now = site.now.replace(second=5)
    with files[3].open("ab") as stream:
        stream.write(b"more")
    site.touch(files[3])
    assert not site.scan().records
    (state,) = [file for found, file in site.scanner.files.items() if found.path == files[3]]
    assert state.pieces is None


def test_missing_subbands_before_and_after_the_deadline(site, subbands):
    fill(site, subbands, but=(3, 7, 9))
    site.scan()
    report = site.scan(1)
    assert not report.records
    (unsealed,) = report.unsealed
    assert unsealed.sentence.startswith("13 of 16 files, missing sb03, sb07, sb09; waits until 00:15:00 UTC")
    assert site.scan(13).unsealed
    (record,) = site.scan(2).records
    assert record.state is ObservationState.INCOMPLETE
    (reason,) = record.reasons
    assert reason == (
        "13 of 16 files, missing sb03, sb07, sb09 at the deadline (900 s after the last file); it will not be used "
        "until the missing files are copied to the incoming directory"
    )
    assert not site.scan(1).records


def test_new_file_moves_the_deadline(site, subbands):
    fill(site, subbands, but=(0, 1))
    site.scan()
    site.scan(10)
    site.put(subbands[0])
    site.scan()
    assert site.scan(10).unsealed
    assert site.scan(6).records


def test_fewer_files_are_sealed_when_the_policy_accepts_them(tmp_path, site, subbands):
    fill(site, subbands, but=(3,))
    site.rules(min=15)
    site.scan()
    assert not site.scan(1).records
    (record,) = site.scan(15).records
    assert record.state is ObservationState.SEALED
    assert record.expected == 16
    assert "missing sb03" in record.reasons[0]


def test_a_file_that_comes_after_a_set_was_sealed_is_quarantined(site, subbands):
    fill(site, subbands, but=(3,))
    site.rules(min=15)
    site.scan()
    site.scan(16)
    late = site.put(subbands[3])
    site.scan()
    (refused,) = site.scan(1).quarantined
    assert refused.reason == "late"
    assert refused.sentence.startswith(f"{late} (sb03) came after observation {START} was sealed (2026-01-26T00:16:00Z")
    assert "15 of 16 files" in refused.sentence
    assert not site.scan(1).quarantined
    site.restart()
    assert not site.scan(1).quarantined


def test_restarted_scanner_goes_on(site, subbands):
    fill(site, subbands)
    bad = site.incoming / "2026-01-25T23:00:00_sb01.hdf5"
    bad.write_bytes(b"x" * 100)
    site.scan()
    report = site.scan(1)
    assert (len(report.records), len(report.quarantined)) == (1, 1)
    site.restart()
    report = site.scan(1)
    assert (report.records, report.quarantined, report.unsealed) == ([], [], [])
    assert report.files == 17


def test_known_files_are_not_opened_again(site, subbands, monkeypatch):
    fill(site, subbands)
    site.scan()
    site.scan(1)
    monkeypatch.setattr(Dsa110, "read", lambda _, path: pytest.fail(f"{path} opened again"))
    site.scan(1)
    site.restart()
    site.scan(1)


def test_one_shot_takes_everything_at_once(site, subbands):
    fill(site, subbands, but=(0,))
    site.restart(one_shot=True)
    (record,) = site.scan().records
    assert record.state is ObservationState.INCOMPLETE


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (lambda _: b"", "empty", "has 0 bytes"),
        (lambda _: b"no hdf5 at all" * 50, "unreadable", "is no HDF5 file"),
        (lambda good: good[: len(good) // 2], "truncated", "truncated"),
    ],
)
def test_bad_file_is_quarantined_and_explains_the_missing_subband(site, subbands, content, reason, words):
    fill(site, subbands, but=(5,))
    bad = site.incoming / subbands[5].name
    bad.write_bytes(content(subbands[5].read_bytes()))
    site.touch(bad)
    site.scan()
    report = site.scan(1)
    (refused,) = report.quarantined
    assert refused.reason == reason
    assert str(bad) in refused.sentence
    assert words in refused.sentence
    assert (site.quarantine / "2026-01-25" / f"{bad.name}.json").is_file()
    assert refused.sentence in report.unsealed[0].sentence
    site.put(subbands[5])  # the cure: the whole file
    site.scan(0.1)
    assert site.scan(1).records[0].state is ObservationState.SEALED


def test_wrong_shape_is_quarantined(site, subbands):
    fill(site, subbands)
    with h5py.File(site.incoming / subbands[2].name, "a") as file:
        short = file["Data/visdata"][:-1]
        del file["Data/visdata"]
        file["Data/visdata"] = short
    site.scan()
    (refused,) = site.scan(1).quarantined
    assert refused.reason == "wrong-shape"
    assert "Data/visdata has shape (11, 1, 2, 2), its header says (12, 2, 2)" in refused.sentence


def test_missing_field_is_quarantined(site, subbands):
    fill(site, subbands)
    with h5py.File(site.incoming / subbands[2].name, "a") as file:
        del file["Header/antenna_names"]
    site.scan()
    (refused,) = site.scan(1).quarantined
    assert "lacks the field 'antenna_names'" in refused.sentence


def test_unknown_telescope_is_quarantined(site, subbands):
    fill(site, subbands)
    with h5py.File(site.incoming / subbands[2].name, "a") as file:
        del file["Header/telescope_name"]
        file["Header/telescope_name"] = "ELSEWHERE"
    site.scan()
    (refused,) = site.scan(1).quarantined
    assert refused.reason == "unknown-telescope"


def test_a_file_of_an_unknown_telescope_is_asked_again_after_a_restart(site, subbands, monkeypatch):
    """Somebody may have installed the instrument."""
    fill(site, subbands)
    with monkeypatch.context() as patched:
        patched.setattr(Telescope, "is_named", lambda _self, _name: False)
        site.restart(one_shot=True)
        assert {record.reason for record in site.scan().quarantined} == {"unknown-telescope"}
        site.restart(one_shot=True)
        site.scan()
    assert len(list(site.quarantine.glob("*/*.json"))) == 16, "one record per file, however often it is asked"
    site.restart(one_shot=True)
    assert site.scan().records[0].state is ObservationState.SEALED


def test_unlike_duplicates_are_both_refused(site, subbands):
    fill(site, subbands)
    twin = site.put(subbands[4], subbands[4].name.replace(":05_", ":06_"))
    with h5py.File(twin, "a") as file:
        file["Data/visdata"][0, 0, 0, 0] = 99
    site.scan()
    report = site.scan(1)
    assert "15 of 16 files, missing sb04" in report.unsealed[0].sentence
    assert "unlike content" in report.unsealed[0].sentence
    report = site.scan(15)
    assert {q.reason for q in report.quarantined} == {"unlike-duplicate"}
    assert len(report.quarantined) == 2
    assert report.records[0].state is ObservationState.INCOMPLETE


def test_identical_duplicate_is_used_once(site, subbands):
    fill(site, subbands)
    (site.incoming / "copy").mkdir()
    twin = site.put(subbands[4], f"copy/{subbands[4].name}")
    site.scan()
    report = site.scan(1)
    assert report.records[0].state is ObservationState.SEALED
    (refused,) = report.quarantined
    assert refused.reason == "identical-duplicate"
    assert str(twin) in refused.sentence


def test_mixed_declinations_refuse_the_odd_file(site, subbands, other_dec):
    fill(site, subbands, but=(5,))
    odd = site.put(other_dec)
    site.scan()
    report = site.scan(16)
    (refused,) = report.quarantined
    assert refused.reason == "mixed-dec"
    assert refused.sentence.startswith(f"{odd} points at Dec 20.0000°")
    assert report.records[0].state is ObservationState.INCOMPLETE


def test_other_names_are_ignored_and_counted(site, subbands):
    for name in ("2026-01-25T22:26:05_sb00_incomplete.hdf5", "spl_2026_sb00.hdf5", "notes.txt"):
        site.put(subbands[0], name)
    report = site.scan(1)
    assert (report.files, report.ignored) == (0, 3)


def test_two_recordings_with_mixed_names_are_told_apart_by_their_times(site, subbands, tmp_path):
    fill(site, subbands)
    next_one = Recording(start="2026-01-25T22:31:09", integrations=2, names=("1", "51", "101"), channels=2)
    for path in write_set(tmp_path / "next", next_one, jitter_s=80):
        site.put(path)
    site.scan()
    assert [record.id for record in site.scan(1).records] == [START, "2026-01-25T22:31:03"]


def test_names_far_apart_are_a_warning_only(site, tmp_path):
    recording = Recording(integrations=2, names=("1", "51"), channels=2)
    for path in write_set(tmp_path / "set", recording, jitter_s=130):
        site.put(path)
    site.scan()
    (record,) = site.scan(1).records
    assert record.state is ObservationState.SEALED
    assert "differ by 130 s" in record.reasons[0]


def test_uvfits_gives_one_observation_per_scan(site, ngc5921):
    site.put(ngc5921)
    site.scan()
    report = site.scan(1)
    roles = [record.role for record in report.records]
    assert roles == [Role.BANDPASS, Role.GAIN, Role.TARGET, Role.GAIN, Role.GAIN, Role.TARGET, Role.GAIN]
    assert [record.scan for record in report.records] == [1, 2, 3, 4, 5, 6, 7]
    assert report.records[0].files[0].role == "scan-1"
    assert report.records[0].files[0].path == "NGC5921.fits"
    assert len({record.digest for record in report.records}) == 7
    site.restart()
    assert not site.scan(1).records


def test_records_that_a_crash_left_out_are_written_after_the_restart(site, ngc5921):
    site.put(ngc5921)
    site.scan()
    whole = site.scan(1).records
    for record in whole[3:]:
        (site.observations / record.id[:10] / f"{record.id}.json").unlink()
    site.restart(one_shot=True)
    again = site.scan(1).records
    assert [record.id for record in again] == [record.id for record in whole[3:]]
    assert [record.digest for record in again] == [record.digest for record in whole[3:]]


def test_copy_of_a_uvfits_file_is_refused(site, ngc5921):
    site.put(ngc5921, "a.fits")
    site.scan()
    site.scan(1)
    shutil.copyfile(ngc5921, site.incoming / "b.fits")
    site.scan(1)
    (refused,) = site.scan(1).quarantined
    assert refused.reason == "identical-duplicate"


def test_truncated_uvfits_is_quarantined(site, ngc5921):
    (site.incoming / "cut.fits").write_bytes(ngc5921.read_bytes()[:1_000_000])
    site.scan()
    (refused,) = site.scan(1).quarantined
    assert refused.reason == "truncated"


def test_record_that_cannot_be_written_names_the_directory(site, subbands):
    fill(site, subbands)
    site.layout.state.mkdir()
    site.observations.write_text("a file, not a directory")
    site.scan()
    with pytest.raises(BadConfig, match="observations"):
        site.scan(1)


def test_a_damaged_record_is_told_and_made_again_from_its_files(site, subbands):
    fill(site, subbands)
    site.scan()
    (whole,) = site.scan(1).records
    path = site.layout.record(whole)
    path.write_text("{}")
    site.restart()
    report = site.scan(1)
    assert f"{path} is no observation record" in report.problems[0]
    (again,) = report.records
    assert again.digest == whole.digest
    assert ObservationRecord.model_validate_json(path.read_bytes()) == again
    assert path.with_name(f"{path.name}.damaged-1").read_text() == "{}"


def test_single_file_with_the_whole_band_is_one_observation(site, subbands, tmp_path):
    whole = tmp_path / "20260125t222600z.uvh5"
    shutil.copyfile(subbands[0], whole)
    site.put(whole)
    site.scan()
    (record,) = site.scan(1).records
    assert record.expected == 1
    assert record.files[0].role == "all"
    assert np.isclose(record.figures[2].value, 16.15)


def test_a_set_may_be_spread_over_several_incoming_directories(site, subbands, tmp_path_factory):
    site = type(site)(tmp_path_factory.mktemp("three"), ("one", "two", "three"))
    for n, path in enumerate(subbands):
        site.put(path, root=n % 3)
    site.put(subbands[5], root=0)  # of the same relative name as in the third
    site.restart(one_shot=True)
    report = site.scan()
    (record,) = report.records
    assert record.state is ObservationState.SEALED
    assert {file.root for file in record.files} == {0, 1, 2}
    assert all(site.layout.raw_file(file).is_file() for file in record.files)
    assert all(not Path(file.path).is_absolute() for file in record.files)
    (refused,) = report.quarantined
    assert refused.reason == "identical-duplicate"
    site.restart()
    again = site.scan(1)
    assert (again.records, again.quarantined, again.unsealed) == ([], [], [])


class Picky(Dsa110):
    """Another telescope that writes files of the same ending."""

    name = "another"

    def __init__(self, error=None):
        self.error = error

    def read(self, path):
        if self.error is not None:
            raise self.error
        return [replace(piece, id="another") for piece in super().read(path)]


@pytest.mark.parametrize("reason", ["unreadable", "unknown-telescope"])
def test_a_file_that_one_instrument_cannot_use_is_offered_to_the_next(site, subbands, monkeypatch, reason):
    fill(site, subbands)
    first = Picky(BadInput("not mine", reason=reason))
    monkeypatch.setattr(scan, "instruments", lambda: {"another": first, "dsa110": Dsa110()})
    site.restart(one_shot=True)
    assert site.scan().records[0].instrument == "dsa110"


def test_of_several_refusals_that_of_the_right_telescope_is_told(site, subbands, monkeypatch):
    site.put(subbands[0])
    foreign = Picky(BadInput("another telescope", reason="unknown-telescope"))
    truly = Picky(BadInput("it is damaged", reason="truncated"))
    monkeypatch.setattr(scan, "instruments", lambda: {"a": foreign, "b": truly})
    site.restart(one_shot=True)
    (refused,) = site.scan().quarantined
    assert (refused.reason, refused.sentence) == ("truncated", "it is damaged")


def test_where_ingest_stands_is_written_after_the_records(site, subbands):
    fill(site, subbands, but=(3,))
    assert site.scan().records == []
    fact = site.fact
    assert fact.scanned == site.now
    report = site.scan(1)
    (unsealed,) = site.fact.unsealed
    assert unsealed == report.unsealed[0]
    assert (unsealed.instrument, unsealed.id) == ("dsa110", START)
    assert abs((unsealed.start - site.now.replace(day=25, hour=22, minute=25, second=53)).total_seconds()) < 1
    site.scan(16)
    assert site.fact.unsealed == ()


def test_a_one_shot_scan_accounts_for_all_that_is_there_at_its_end(site, subbands):
    fill(site, subbands)
    site.restart(one_shot=True)
    assert site.scan().scanned > site.now
    assert site.fact.scanned > site.now


def test_rules_of_a_survey_apply_from_the_next_scan(site, subbands):
    fill(site, subbands, but=(3,))
    site.scan()
    site.scan(1)
    site.rules(min=15, deadline="2min")
    assert site.scan(2).records[0].state is ObservationState.SEALED
    site.layout.ingest_rules.write_text("{")
    assert "ingest-rules.json cannot be used" in site.scan(1).problems[0]
