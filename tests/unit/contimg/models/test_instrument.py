from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from contimg.errors import BadConfig
from contimg.models import instrument as module
from contimg.models import spec
from contimg.models.instrument import FileSet, Instrument, Piece, instrument, instruments, pipeline, pipelines
from contimg.models.survey import FileSetRules

START = datetime(2026, 1, 25, tzinfo=UTC)


class Dish(Instrument):
    """The least that an instrument must say."""

    name = "dish"
    title = "One dish"
    pipelines = ()

    def site(self):
        return None

    def recognise(self, path, head):
        return path.suffix == ".dish" and head.startswith(b"DISH")

    def read(self, path):
        return [Piece(path, "all", "17", START)]

    def describe(self, files):
        raise NotImplementedError


def of(*roles, expected=("a", "b", "c")):
    return FileSet("1", START, tuple(Piece(Path(role), role, "1", START) for role in roles), expected, 2)


def test_the_installed_ones_are_found_by_name():
    assert {"dsa110", "vla"} <= set(instruments())
    assert instrument("vla").name == "vla"
    assert all(isinstance(each, Instrument) and each.title for each in instruments().values())


def test_an_unknown_one_offers_the_nearest():
    with pytest.raises(BadConfig, match="instrument 'dsa-110' is not installed; did you mean 'dsa110'"):
        instrument("dsa-110")


def test_an_unknown_pipeline_offers_the_nearest_and_lists_all():
    with pytest.raises(BadConfig, match=r"'vla-continium' is unknown; did you mean 'vla-continuum'\?; known are"):
        pipeline("vla-continium")
    assert pipeline("vla-continuum") is pipelines()["vla-continuum"]


def test_each_file_is_a_recording_unless_the_instrument_says_otherwise():
    pieces = [Piece(Path(name), "all", name, START) for name in ("2", "1")]
    sets = Dish().gather(pieces, FileSetRules(expect=16, min=3))
    assert [(files.id, files.pieces, files.missing, files.least) for files in sets] == [
        ("2", (pieces[0],), (), 1),
        ("1", (pieces[1],), (), 1),
    ]


def test_an_instrument_needs_no_simulator_no_hints_and_no_database(tmp_path):
    dish = Dish()
    assert dish.hint(Path("x")) is None
    assert (dish.presets, dish.index_version) == ((), 0)
    dish.index(None, [])
    with pytest.raises(BadConfig, match="instrument 'dish' has no simulator"):
        dish.simulate(tmp_path, "any")


@pytest.mark.parametrize(("roles", "missing"), [("", "abc"), ("b", "ac"), ("bb", "ac"), ("cab", ""), ("x", "abc")])
def test_what_is_missing_stands_in_the_order_of_the_set(roles, missing):
    assert of(*roles).missing == tuple(missing)


@pytest.fixture
def installed(monkeypatch):
    """Let other instruments be installed; what was found before is forgotten."""

    def install(**points):
        found = [EntryPoint(name, value, "contimg.instruments") for name, value in points.items()]
        monkeypatch.setattr(spec, "entry_points", lambda **_: found)
        module.instruments.cache_clear()
        module.pipelines.cache_clear()

    yield install
    monkeypatch.undo()
    module.instruments.cache_clear()
    module.pipelines.cache_clear()


def test_an_entry_point_is_named_as_its_instrument(installed):
    installed(other="contimg.instruments.vla.instrument:INSTRUMENT")
    with pytest.raises(
        BadConfig, match=r"entry point 'other' of contimg\.instruments\.vla.* is instrument 'vla'; name it so"
    ):
        instruments()


def test_two_pipelines_of_one_name_are_refused(installed, monkeypatch):
    installed(vla="contimg.instruments.vla.instrument:INSTRUMENT")
    found = instruments()
    monkeypatch.setitem(found, "again", found["vla"])
    with pytest.raises(BadConfig, match="pipeline 'vla-continuum' of instrument 'again' is there already"):
        pipelines()
