"""What ingest learns from a level-1 file, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime

import h5py
import pytest
from comap_sim import simulated

from contimg.errors import BadConfig, BadInput
from contimg.instruments.comap.instrument import INSTRUMENT
from contimg.instruments.comap.library import library
from contimg.instruments.comap.simulate.config import load_config
from contimg.models.survey import FileSetRules


@pytest.fixture(scope="module")
def level1(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("level1"), channels=16, minutes=2.0, feeds=(1,))


def test_a_file_is_an_observation_with_the_obsid_as_id(level1):
    assert INSTRUMENT.recognise(level1, b"")
    assert not INSTRUMENT.recognise(level1.with_name("truth.json"), b"")
    assert INSTRUMENT.hint(level1).time == datetime(2022, 1, 21, 17, 16, 48, tzinfo=UTC)
    (found,) = INSTRUMENT.gather(INSTRUMENT.read(level1), FileSetRules())
    record = INSTRUMENT.describe(found)
    assert (record.id, record.source, record.integrations) == ("0060001", "Field12", 6000)
    assert (record.end - record.start).total_seconds() == pytest.approx(120.0, abs=0.01)


def test_name_and_attribute_must_agree(level1, tmp_path):
    other = tmp_path / level1.name.replace("0060001", "0060002")
    other.write_bytes(level1.read_bytes())
    with pytest.raises(BadInput, match="attribute obsid of comap is 60001, the name says 60002") as caught:
        INSTRUMENT.read(other)
    assert caught.value.reason == "contradicts"


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "has 0 bytes"), (b"x" * 5000, "is no HDF5 file")],
)
def test_files_that_are_none(level1, tmp_path, content, words):
    path = tmp_path / level1.name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        INSTRUMENT.read(path)


def test_a_truncated_file_is_refused(level1, tmp_path):
    path = tmp_path / level1.name
    path.write_bytes(level1.read_bytes()[:500_000])
    with pytest.raises(BadInput, match="copy it again"):
        INSTRUMENT.read(path)


def test_an_external_link_is_not_followed(level1, tmp_path):
    path = tmp_path / level1.name
    path.write_bytes(level1.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["spectrometer/features"]
        file["spectrometer/features"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(BadInput, match="outside the file"):
        INSTRUMENT.read(path)


@pytest.mark.parametrize("name", ["spectrometer/MJD", "spectrometer/pixel_pointing/pixel_az"])
def test_a_dataset_that_is_missing_is_named(level1, tmp_path, name):
    path = tmp_path / level1.name
    path.write_bytes(level1.read_bytes())
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(BadInput, match=f"has no dataset {name}; copy the file again"):
        INSTRUMENT.read(path)


def test_the_library_lists_what_can_be_used_and_tells_of_the_rest(level1, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / level1.name).write_bytes(level1.read_bytes())
    (tmp_path / "a" / "comap-0060009-2022-01-21-171648.hd5").write_bytes(b"")
    found, told = library([tmp_path / "a", level1.parent])
    assert [(one.id, one.source, one.group) for one in found] == [("0060001", "Field12", "Galactic")]
    assert any("has 0 bytes" in sentence for sentence in told)
    assert any("obsid 60001 is there already" in sentence for sentence in told)
    with pytest.raises(BadConfig, match="does not exist; mend level1_data_paths"):
        library([tmp_path / "none"])


def test_settings_of_the_simulator(tmp_path):
    with pytest.raises(BadConfig, match="preset 'huge' of the COMAP simulator is unknown"):
        load_config("huge", None)
    path = tmp_path / "x.yaml"
    path.write_text("recordings: [{obsid: 1, source: TauA, mjd: 59600.25, mode: raster}]\nchannels: 5\n")
    with pytest.raises(BadConfig, match="field 'channels' = 5"):
        load_config("", path)
    path.write_text("recordings: [{obsid: 1, source: TauA, mjd: 59600.25, mode: raster}]\n")
    assert load_config("", path).channels == 64
    assert "1 level-1 file, " in INSTRUMENT.simulate(tmp_path / "out", "", path)
