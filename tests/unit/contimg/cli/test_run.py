"""``contimg run``: directories, exit codes, and the result in stable keys."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.places import layout_of
from contimg.cli.result import print_result, result_of, write_result
from contimg.cli.run import _terminated_as_interrupt, exit_code
from contimg.errors import BadConfig
from contimg.host.outcome import Outcome
from contimg.models.group import GroupStatus
from contimg.models.quality import Verdict, judge
from contimg.volume.layout import Layout


def outcome(phase="Published", figures=None, products=(), verdict=Verdict.PASS):
    status = GroupStatus(observed_generation=1, phase=phase, message="words", verdict=verdict)
    return Outcome("g", status, list(products), figures or {}, {"image": 2.5, "total": 4.0}, 7, {})


@pytest.mark.parametrize(
    ("phase", "code"),
    [("Published", 0), ("Suspended", 0), ("Unpublished", 3), ("Failed", 1), ("Waiting", 75), ("Running", 75),
     ("Stalled", 75)],
)  # fmt: skip
def test_the_exit_code_tells_what_came_of_it(phase, code):
    assert exit_code([outcome(phase)]) == code


@pytest.mark.parametrize(
    ("phases", "code"),
    [
        (["Published", "Published"], 0), (["Published", "Waiting"], 75), (["Waiting", "Failed"], 1),
        (["Unpublished", "Waiting"], 3), ([], 0),
    ],
)  # fmt: skip
def test_of_several_groups_the_one_that_went_worst_counts(phases, code):
    assert exit_code([outcome(phase) for phase in phases]) == code


def test_a_wrong_file_is_told_before_anything_is_made(tmp_path):
    (tmp_path / "bad.yaml").write_text("kind: [")
    bases = ["--stage-base", str(tmp_path / "s"), "--data-base", str(tmp_path / "d")]
    done = CliRunner().invoke(app, ["run", str(tmp_path / "bad.yaml"), *bases])
    assert "bad.yaml:1: this is not valid YAML" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_directories_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("CONTIMG_STAGE_BASE", "/a")
    monkeypatch.setenv("CONTIMG_IMAGES_DIR", "/fast")
    assert layout_of(None, None, None) == Layout.from_environment()
    assert layout_of(None, None, None).home("image") == Path("/fast")


def test_a_base_by_hand_takes_everything_below_it_along(monkeypatch):
    """A variable of another installation must not catch what is run in a directory of its own."""
    monkeypatch.setenv("CONTIMG_IMAGES_DIR", "/fast")
    monkeypatch.setenv("CONTIMG_STATE_DIR", "/state")
    layout = layout_of(Path("/s"), Path("/d"), None)
    assert layout.home("image") == Path("/s/images")
    assert layout.state == Path("/d/state")


def test_a_misspelt_variable_is_refused(monkeypatch):
    monkeypatch.setenv("CONTIMG_STATE_DIRR", "/state")
    with pytest.raises(BadConfig, match="CONTIMG_STATE_DIRR is unknown; did you mean 'CONTIMG_STATE_DIR'"):
        layout_of(None, None)


def test_a_relative_directory_counts_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = layout_of(Path("s"), Path("d"), Path("raw"))
    assert layout == Layout(tmp_path / "s", tmp_path / "d", {"CONTIMG_INCOMING_DIR": str(tmp_path / "raw")})


def test_incoming_by_hand_moves_only_itself(monkeypatch):
    monkeypatch.setenv("CONTIMG_IMAGES_DIR", "/fast")
    layout = layout_of(None, None, Path("/raw"))
    assert layout.incoming == Path("/raw")
    assert layout.home("image") == Path("/fast")


@pytest.mark.parametrize("name", ["missing.yaml", "directory"])
def test_a_group_that_is_no_file(name, tmp_path):
    (tmp_path / "directory").mkdir()
    done = CliRunner().invoke(app, ["run", str(tmp_path / name)])
    assert isinstance(done.exception, BadConfig)
    assert str(done.exception).startswith(str(tmp_path / name))


def test_sigterm_interrupts_as_ctrl_c_does_and_only_meanwhile():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _terminated_as_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


KEYS = {"group", "verdict", "phase", "message", "products", "figures", "timings", "anchors", "stages_run"}


def test_the_keys_of_a_result_are_those_of_the_issue(tmp_path):
    result = result_of(outcome())
    assert set(result) == KEYS
    write_result(tmp_path / "result.json", result)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert result["stages_run"] == 7
    assert result["verdict"] == "pass"


def test_what_is_no_json_is_refused_and_the_old_result_stands(tmp_path):
    path = tmp_path / "result.json"
    write_result(path, result_of(outcome()))
    with pytest.raises(ValueError, match="JSON compliant"):
        write_result(path, result_of(outcome()) | {"timings": {"x": float("nan")}})
    assert json.loads(path.read_text())["timings"] == {"image": 2.5, "total": 4.0}


def printed(result):
    console = Console(width=140, record=True, file=None, quiet=False, stderr=True)
    print_result(result, console)
    return console.export_text()


def figure(name, value):
    return judge(name, value, "Jy", degraded_above=1.0).model_dump(mode="json", exclude={"name"})


def test_figures_of_members_share_a_line_with_their_span_and_worst_verdict():
    figures = {"image.rms@a": figure("image.rms", 0.5), "image.rms@b": figure("image.rms", 2.0)}
    (line,) = [text for text in printed(result_of(outcome(figures=figures))).splitlines() if "image.rms" in text]
    assert "0.5 … 2" in line
    assert "degraded > 1" in line
    assert line.split()[-2 if line.rstrip().endswith("│") else -1] == "degraded"


def test_a_figure_that_was_not_measured_never_looks_like_a_number():
    figures = {"image.rms@a": figure("image.rms", 0.5), "image.rms@b": figure("image.rms", None)}
    text = printed(result_of(outcome(figures=figures)))
    assert "not measured" in text
    assert "0.5" not in text


def test_a_figure_without_limits_is_not_in_the_table():
    plain = judge("image.peak", 0.123, "Jy").model_dump(mode="json", exclude={"name"})
    assert "image.peak" not in printed(result_of(outcome(figures={"image.peak": plain})))


def test_products_are_counted_per_directory():
    products = [
        {"type": "mosaic", "path": "/a/m/x.fits", "sha256": "", "s3": "k"},
        {"type": "mosaic", "path": "/a/m/x.png", "sha256": "", "s3": ""},
    ]
    text = printed(result_of(outcome(products=products)))
    assert "/a/m: 2 products, e.g. x.fits" in text
    assert "1 of 2 also in the object store" in text


def test_the_last_line_says_how_it_ended():
    assert "g: Failed, verdict degraded, 7 attempts run." in printed(result_of(outcome("Failed", verdict="degraded")))
