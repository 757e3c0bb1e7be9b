"""``contimg stage``: words after the stage's name become files and parameters."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.stage import parse
from contimg.errors import BadConfig
from contimg.models.spec import effective, spec_of

KNOWN = ["robust", "cell_arcsec", "channels", "multiscale"]


@pytest.fixture
def ms(tmp_path):
    path = tmp_path / "x_cal.ms"
    path.mkdir()
    return path


def test_files_and_parameters_may_be_mixed(ms, tmp_path):
    (tmp_path / "b").touch()
    words = ["--robust", "0.5", str(ms), "--cell-arcsec=2.5", str(tmp_path / "b"), "--multiscale=[0, 3]"]
    assert parse(words, KNOWN) == ([ms, tmp_path / "b"], {"robust": 0.5, "cell_arcsec": 2.5, "multiscale": [0, 3]})


@pytest.mark.parametrize("spelled", ["--cell_arcsec=3", "--cell-arcsec=3"])
def test_hyphens_and_underscores_are_the_same(spelled):
    assert parse([spelled], KNOWN)[1] == {"cell_arcsec": 3}


def test_a_negative_number_is_a_value():
    assert parse(["--robust", "-0.5"], KNOWN)[1] == {"robust": -0.5}


def test_a_value_may_hold_an_equals_sign():
    assert parse(["--channels=a=b"], KNOWN)[1] == {"channels": "a=b"}


@given(value=st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_arrive_as_they_were_written(value):
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    found = parse([f"--robust={text}"], KNOWN)[1]["robust"]
    assert found == value or float(found) == value, "1e-05 is text in YAML 1.1; the parameter's class reads it"


def test_a_number_in_the_short_way_reaches_the_stage_as_a_number():
    given = parse(["--threshold-jy=1e-5"], ["threshold_jy"])[1]
    assert effective(spec_of("image"), given)["threshold_jy"] == 1e-5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--robus=1"], r"'contimg schema STAGE' lists .*'--robus'; did you mean 'robust'"),
        (["--robust"], "parameter '--robust' has no value; write --robust=VALUE"),
        (["nowhere.ms"], "input 'nowhere.ms' does not exist"),
    ],
)
def test_mistakes(words, sentence):
    with pytest.raises(BadConfig, match=sentence):
        parse(words, KNOWN)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["imag", "x"], "stage 'imag' is not installed; did you mean 'image'"),
        (["image"], "stage 'image' needs input files"),
        (["image", "{ms}", "--robust=9"], "parameter 'robust' = 9: Input should be less than or equal to 2"),
        (["image", "{ms}", "--robust=soft"], "parameter 'robust' = 'soft'"),
        (["image", "{ms}x"], "does not exist"),
    ],
)
def test_nothing_begins_before_all_words_are_right(words, sentence, ms, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["stage", *(word.format(ms=ms) for word in words)])
    assert isinstance(done.exception, BadConfig)
    assert sentence in str(done.exception)
    assert sorted(Path().iterdir()) == [Path("x_cal.ms")]
