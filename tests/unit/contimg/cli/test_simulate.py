"""``contimg simulate``: files and truth where they were asked for."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.errors import BadConfig

SMALL = """\
seed: 3
observations: 2
integrations: 1
channels_per_subband: 1
stations: [1, 14, 33]
missing_subbands: {1: [4]}
calibrator: 2253+161
"""


def invoke(*words):
    return CliRunner().invoke(app, ["simulate", "dsa110", *map(str, words)])


def test_subbands_and_truth_lie_beside_each_other(tmp_path):
    (tmp_path / "sim.yaml").write_text(SMALL)
    done = invoke(tmp_path / "out", "--config", tmp_path / "sim.yaml")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out").rglob("*.hdf5"))) == 31
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert len(truth["observations"]) == 2


def test_a_mistake_in_the_settings_is_told(tmp_path):
    (tmp_path / "sim.yaml").write_text(SMALL.replace("seed", "sead"))
    done = invoke(tmp_path / "out", "--config", tmp_path / "sim.yaml")
    assert isinstance(done.exception, BadConfig)
    assert "did you mean 'seed'" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_an_unknown_preset_offers_the_nearest(tmp_path):
    done = invoke(tmp_path / "out", "--preset", "tinny")
    assert isinstance(done.exception, BadConfig)
    assert "tiny" in str(done.exception)
