"""``contimg doctor``: what is missing is said with its cure, the rest is checked all the same."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from contimg.cli import doctor
from contimg.cli.doctor import checks
from contimg.cli.main import app
from contimg.errors import ContimgError
from contimg.volume.layout import Layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    for name, path in (("CONTIMG_STAGE_BASE", "s"), ("CONTIMG_DATA_BASE", "d")):
        monkeypatch.setenv(name, str(tmp_path / path))
    return Layout(tmp_path / "s", tmp_path / "d")


def invoke():
    return CliRunner().invoke(app, ["doctor"])


def missing(output):
    return dict(re.findall(r"^MISSING ([^:]+): (.*)$", output, re.MULTILINE))


def test_on_this_machine_all_is_well(layout):
    done = invoke()
    assert done.exit_code == 0, done.output
    assert re.findall(r"^ok      ([^:]+):", done.output, re.MULTILINE) == list(checks(layout))
    assert str(layout.stage_base) in done.output


def test_a_directory_in_whose_way_a_file_stands(layout):
    layout.stage_base.write_text("")
    done = invoke()
    assert done.exit_code == 1
    told = missing(done.output)
    assert list(told) == ["stage base"]
    assert told["stage base"].startswith(f"{layout.stage_base} (CONTIMG_STAGE_BASE) cannot be written")


def test_a_data_base_that_is_a_loop_takes_the_state_with_it(layout):
    layout.data_base.symlink_to("d")
    assert set(missing(invoke().output)) == {"data base", "state"}


def test_a_package_that_is_missing_is_named(layout, monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("astropy", "no-such-package"))
    with pytest.raises(ContimgError, match=r"package no-such-package is missing; run '\./run setup'"):
        checks(layout)["packages"]()


def test_too_little_memory_is_told_in_numbers(layout, monkeypatch):
    monkeypatch.setattr(doctor, "NEED_GIB", 100_000)
    with pytest.raises(ContimgError, match=r"[\d.]+ GiB of memory, a run needs 100000"):
        checks(layout)["machine"]()


def test_a_program_that_only_one_backend_needs_is_no_fault(layout, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "only the imaging backend 'wsclean' needs it (apt-get install wsclean)" in checks(layout)["wsclean"]()
