"""``contimg why``: a question changes nothing."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner
from uvh5 import Recording, write_set

from contimg.cli.main import app

YAML = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: ObservationGroup
metadata: {name: tiny}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T00:00:00Z, count: 1}}
"""


@pytest.fixture
def places(tmp_path):
    (tmp_path / "tiny.yaml").write_text(YAML)
    (tmp_path / "data" / "incoming").mkdir(parents=True)
    return tmp_path


def test_a_set_that_is_still_arriving_is_not_given_up(places):
    for path in write_set(places / "data" / "incoming", Recording())[4:]:
        path.unlink()
    bases = ["--stage-base", str(places / "stage"), "--data-base", str(places / "data")]
    done = CliRunner().invoke(app, ["why", str(places / "tiny.yaml"), *bases])
    assert done.exit_code == 0, done.output
    assert "waiting" in done.output
    assert not list((places / "data" / "state" / "observations").rglob("*.json"))
