"""``contimg watch``: what is refused before anything is made, and a survey followed until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from commands import CONTIMG, clean_environment
from typer.testing import CliRunner
from waiting import until

from contimg.cli.main import app
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.volume.layout import Layout

GROUP = """\
kind: ObservationGroup
metadata: {name: g1}
spec: {pipeline: dsa110-continuum, observations: {start: 2026-01-25T22:26:00Z, count: 3}}
"""
SURVEY = """\
kind: Survey
metadata: {name: NAME}
spec:
  pipeline: dsa110-continuum
  groups: {size: 4, overlap: 1}
"""


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "s", tmp_path / "d")


@pytest.fixture
def write(tmp_path):
    def put(text, name="night"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return put


def survey(name="night", **replaced):
    text = SURVEY.replace("NAME", name)
    for old, new in replaced.items():
        assert old in text
        text = text.replace(old, new)
    return text


def watched(layout, *paths, options=(), **env):
    bases = ["--stage-base", str(layout.stage_base), "--data-base", str(layout.data_base)]
    return CliRunner().invoke(app, ["watch", *map(str, paths), *bases, *options], env=env)


def refusal(layout, *paths, **given):
    done = watched(layout, *paths, **given)
    assert isinstance(done.exception, BadConfig), repr(done.exception)
    return str(done.exception)


def nothing_made(layout):
    return not layout.stage_base.exists() and not layout.state.exists()


def test_a_file_of_groups_alone_is_for_another_command(layout, write):
    path = write(GROUP)
    assert refusal(layout, path) == f"{path} holds no Survey; groups are run by: contimg run {path}"
    assert nothing_made(layout)


def test_a_pipeline_alone_is_no_survey_either(layout, write):
    text = "kind: Pipeline\nmetadata: {name: p}\nspec: {instrument: dsa110, stages: [{stage: ingest}]}\n"
    assert "holds no Survey" in refusal(layout, write(text))


def test_one_survey_among_several_files_is_enough(layout, write):
    """It gets as far as the directory of raw files, which is not there."""
    sentence = refusal(layout, write(GROUP, "group"), write(survey()))
    assert sentence.startswith(f"{layout.incoming} does not exist; put the raw files there")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"size: 4": "sise: 4"}, "night.yaml:5: field 'spec.groups.sise' is unknown; did you mean 'size'"),
        ({"overlap: 1": "overlap: 4"}, "overlap 4 must be smaller than size 4"),
        ({"size: 4": "size: 0"}, "spec.groups.size"),
        ({"size: 4": "maxGap: 15parsec"}, "write a number with one of the units"),
        ({"dsa110-continuum": "dsa110-continuun"}, "dsa110-continuun"),
        ({"kind: Survey": "kind: Surwey"}, "Surwey"),
        ({"spec:": "  spec: ["}, "night.yaml:"),
    ],
)
def test_a_mistake_in_a_survey_is_named_with_its_place(layout, write, replaced, words):
    path = write(survey(**replaced))
    sentence = refusal(layout, path)
    assert words in sentence
    assert sentence.startswith(str(path))
    assert nothing_made(layout)


@pytest.mark.parametrize("name", ["x" * 47, "Night", "a/b", "..", "-night", "'night sky'", "''", "3"])
def test_a_name_that_groups_cannot_be_named_after(layout, write, name):
    assert "name" in refusal(layout, write(survey(name)))
    assert nothing_made(layout)


def test_the_longest_name_is_taken(layout, write):
    assert "does not exist" in refusal(layout, write(survey("x" * 46)))


@pytest.mark.parametrize("name", ["missing.yaml", "directory", "night.txt", "x" * 300])
def test_what_is_no_survey_file(layout, tmp_path, name):
    (tmp_path / "directory").mkdir()
    (tmp_path / "night.txt").write_bytes(b"\x00\xff")
    done = watched(layout, tmp_path / name)
    assert isinstance(done.exception, BadConfig | OSError), repr(done.exception)
    assert nothing_made(layout)


def test_two_files_with_the_same_survey(layout, write):
    layout.incoming.mkdir(parents=True)
    first, second = write(survey()), write(survey(), "again")
    sentence = refusal(layout, first, second)
    assert sentence == f"{second}: Survey 'night' stands in {first} too; keep one of them"


@pytest.mark.parametrize("jobs", ["0", "65", "many"])
def test_a_number_of_jobs_that_cannot_be(layout, write, jobs):
    done = watched(layout, write(survey()), options=["--jobs", jobs])
    assert done.exit_code == 2
    assert "--jobs" in done.output


def test_a_misspelt_variable_is_refused(layout, write):
    assert "did you mean 'CONTIMG_SHARD'" in refusal(layout, write(survey()), CONTIMG_SHARDD="main")


def test_a_directory_that_cannot_be_made(layout, write, tmp_path):
    (tmp_path / "s").write_text("a file in the way")
    (tmp_path / "d" / "incoming").mkdir(parents=True)
    done = watched(layout, write(survey()))
    assert str(tmp_path / "s") in str(done.exception)


@pytest.mark.integration
def test_a_survey_is_followed_until_it_is_interrupted(layout, write, tmp_path):
    """An empty sky: it lasts, says where it stands beside the file, and Ctrl-C ends it with one sentence."""
    layout.incoming.mkdir(parents=True)
    path = write(survey())
    bases = ["--stage-base", str(layout.stage_base), "--data-base", str(layout.data_base)]
    process = _started("watch", path, *bases)
    try:
        until(lambda: ResourceStore(layout).survey_status("night") or process.poll(), 60.0)
        assert process.poll() is None, process.communicate()[1]
        status = ResourceStore(layout).survey_status("night")
        assert (status.observed_generation, status.groups, status.ungrouped) == (1, 0, ())
        assert status.message
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert out == ""
    assert "contimg: interrupted; start the same command again to go on" in err
    assert "Traceback" not in err
    assert (tmp_path / "night.status.yaml").is_file()
    record = json.loads((layout.state / "resources" / "surveys" / "night.json").read_text())
    assert record["source"] == str(path)


def _started(*words: str | Path) -> subprocess.Popen[str]:
    argv = ["env", "--default-signal=INT", CONTIMG, *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdout=pipe, stderr=pipe, text=True, env=clean_environment())
