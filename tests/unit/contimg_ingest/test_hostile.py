"""One bad file stops no other one: it is quarantined in words, the rest is sealed."""

from __future__ import annotations

import os
import stat

import h5py
import numpy as np
import pytest
from uvh5 import Recording, write_set

from contimg.instruments.dsa110.instrument import Dsa110
from contimg.models.observation import ObservationState

START = "2026-01-25T22:25:54"
OTHER = "2026-01-25T23:25:54"


@pytest.fixture(scope="session")
def other(tmp_path_factory):
    """A good recording an hour later."""
    recording = Recording(start="2026-01-25T23:26:00", integrations=2, names=("1", "51", "101"), channels=2)
    return write_set(tmp_path_factory.mktemp("good"), recording)


def spoil(path, **fields):
    with h5py.File(path, "a") as file:
        for name, values in fields.items():
            shape = file["Header"][name].shape
            del file["Header"][name]
            file["Header"][name] = np.full(shape, values) if np.isscalar(values) else values


def scan_of(site, bad, other):
    """Put sixteen bad files and a good recording in; return what is said of the bad ones."""
    for path in (*bad, *other):
        site.put(path)
    site.restart(one_shot=True)
    report = site.scan()
    assert [record.id for record in report.records if record.state is ObservationState.SEALED] == [OTHER]
    assert site.fact.problems == tuple(report.problems)
    return report


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"time_array": 0.0}, "Header/time_array holds 0 d"),
        ({"time_array": 1e300}, "Header/time_array holds 1e+300 d"),
        ({"time_array": -np.inf}, "Header/time_array holds -inf d"),
        ({"integration_time": np.nan}, "Header/integration_time holds nan s"),
        ({"integration_time": 0.0}, "Header/integration_time holds 0 s"),
        ({"integration_time": 1e9}, "Header/integration_time holds 1000000000 s"),
        ({"freq_array": np.inf}, "Header/freq_array holds inf Hz"),
        ({"phase_center_app_dec": 1e6}, "phase_center_app_dec"),
    ],
)
def test_numbers_that_cannot_be_are_refused_with_file_field_value_and_cure(
    site, subbands, other, tmp_path, fields, words
):
    bad = []
    for path in subbands:
        bad.append(tmp_path / path.name)
        bad[-1].write_bytes(path.read_bytes())
        spoil(bad[-1], **fields)
    report = scan_of(site, bad, other)
    assert len(report.quarantined) == 16
    first = min(report.quarantined, key=lambda record: record.path)
    assert first.reason == "out-of-bounds"
    assert first.sentence.startswith(f"{site.incoming / subbands[0].name}: ")
    assert words in first.sentence
    assert first.sentence.endswith("write the file again")


def test_a_header_that_claims_a_million_integrations_is_refused_before_it_is_read(site, subbands, other, tmp_path):
    bad = tmp_path / subbands[0].name
    bad.write_bytes(subbands[0].read_bytes())
    with h5py.File(bad, "a") as file:
        del file["Header/time_array"]
        file["Header"].create_dataset("time_array", shape=(10**9,), dtype=float, chunks=(1000,))
    report = scan_of(site, [bad], other)
    (refused,) = report.quarantined
    assert "time_array" in refused.sentence


def test_a_link_inside_a_file_that_leads_outside_is_not_followed(site, subbands, other, tmp_path):
    bad = tmp_path / subbands[0].name
    bad.write_bytes(subbands[0].read_bytes())
    with h5py.File(bad, "a") as file:
        del file["Data"]
        file["Data"] = h5py.ExternalLink(str(subbands[1]), "/Data")
    (refused,) = scan_of(site, [bad], other).quarantined
    assert refused.reason == "link"


def test_a_subband_that_cannot_be_is_refused(site, subbands, other, tmp_path):
    bad = tmp_path / subbands[0].name.replace("sb00", "sb99")
    bad.write_bytes(subbands[0].read_bytes())
    (refused,) = scan_of(site, [bad], other).quarantined
    assert refused.reason == "out-of-bounds"
    assert "subband 99" in refused.sentence


def test_what_is_no_plain_file_is_told_and_never_opened(site, other):
    os.mkfifo(site.incoming / "2026-01-25T22:26:05_sb00.hdf5")
    (site.incoming / "2026-01-25T22:26:05_sb01.hdf5").symlink_to("/dev/zero")
    report = scan_of(site, [], other)
    assert sorted(problem.rsplit("/", 1)[-1][:40] for problem in report.problems) == [
        "2026-01-25T22:26:05_sb00.hdf5 is a named",
        "2026-01-25T22:26:05_sb01.hdf5 is a link ",
    ]


def test_a_file_without_permission_is_told_and_taken_when_that_is_mended(site, subbands, other, monkeypatch):
    files = [site.put(path) for path in subbands]
    plain = os.open

    def guarded(path, *args, **kwargs):
        if str(path) == str(files[0]) and not files[0].stat().st_mode & stat.S_IROTH:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path, *args, **kwargs)

    files[0].chmod(0o600)
    monkeypatch.setattr(os, "open", guarded)  # root may read everything
    for path in other:
        site.put(path)
    site.scan()
    report = site.scan(1)
    assert [record.id for record in report.records] == [OTHER]
    assert f"{files[0]} cannot be read (Permission denied); mend its permissions" in report.problems
    files[0].chmod(0o644)
    assert [record.id for record in site.scan(1).records] == [START]


def test_an_instrument_that_raises_anything_loses_its_file_and_no_other(site, subbands, other, monkeypatch):
    plain = Dsa110.read

    def odd(self, path):
        if "T22:" in path.name:
            raise RecursionError("too deep")
        return plain(self, path)

    monkeypatch.setattr(Dsa110, "read", odd)
    (refused,) = scan_of(site, [subbands[0]], other).quarantined
    assert refused.reason == "unreadable"
    assert refused.sentence.startswith("instrument dsa110 cannot read ")
    assert refused.sentence.endswith("(RecursionError: too deep); copy it again")


@pytest.mark.parametrize("method", ["gather", "describe"])
def test_an_instrument_that_breaks_down_is_told_and_other_instruments_go_on(site, other, ngc5921, monkeypatch, method):
    def broken(*_args):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(Dsa110, method, broken)
    for path in (*other, ngc5921):
        site.put(path)
    site.restart(one_shot=True)
    report = site.scan()
    assert {record.instrument for record in report.records} == {"vla"}
    assert "instrument dsa110 could not" in report.problems[0]
    assert "ZeroDivisionError: no" in report.problems[0]


def test_a_description_that_breaks_a_bound_quarantines_its_files(site, subbands, other, monkeypatch):
    plain = Dsa110.describe

    def odd(self, files):
        said = plain(self, files)
        if said.id == OTHER:
            return said
        return type(said).model_validate(said.model_dump() | {"dec_deg": 200.0})

    monkeypatch.setattr(Dsa110, "describe", odd)
    report = scan_of(site, subbands, other)
    assert {record.reason for record in report.quarantined} == {"out-of-bounds"}
    assert "dec_deg of 2026-01-25T22:25:54 cannot be" in report.quarantined[0].sentence


@pytest.mark.parametrize("name", ["9999-12-31T23:59:59_sb00", "0001-01-01T00:00:00_sb00", "x" * 240])
def test_names_at_the_end_of_time_or_length_stop_nothing(site, other, name):
    (site.incoming / f"{name}.hdf5").write_bytes(b"nothing")
    (refused,) = scan_of(site, [], other).quarantined
    assert name in refused.path


def test_many_problems_are_counted(site):
    for number in range(150):
        os.mkfifo(site.incoming / f"{number}")
    site.scan()
    assert len(site.fact.problems) == 101
    assert site.fact.problems[-1] == "and 50 more of the like"
