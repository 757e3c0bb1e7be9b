"""Live progress: of one group a line per stage, of several a line per group; without a terminal a line per change."""

from __future__ import annotations

import io

from rich.console import Console

from contimg.cli.display import SHOWN, group_table, progress_display, status_table, survey_lines
from contimg.host.local import Progress
from contimg.models.group import GroupStatus, StageStatus
from contimg.models.quality import Verdict
from contimg.models.survey import SurveyStatus, UngroupedStatus


def status(done=1, phase="Running", message="convert: 1 of 2 done"):
    stages = (
        StageStatus(stage="convert", done=done, total=2, running=1, seconds=3.21, verdict=Verdict.PASS),
        StageStatus(stage="image", done=0, total=2, failed=1),
    )
    return GroupStatus(
        observed_generation=1, phase=phase, stage="convert", progress=f"{done}/2", message=message, stages=stages
    )


def of(running=None, surveys=None, told=(), **groups):
    return Progress(groups, surveys or {}, running or {}, list(told))


def shown(*steps, terminal=False, quiet=False):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100)
    with progress_display(console, quiet=quiet) as watcher:
        for step in steps:
            watcher(step)
    return stream.getvalue()


def test_without_a_terminal_there_is_a_line_per_change():
    first, second = of(g=status()), of(g=status(2, message="convert: [2] of 2 done"))
    text = shown(first, first, of({"convert a": "half"}, g=status()), second, second)
    assert text.splitlines() == [
        "Running convert 1/2 convert: 1 of 2 done",
        "Running convert 2/2 convert: [2] of 2 done",
    ]


def test_on_a_terminal_stages_and_what_is_at_work_are_shown():
    text = shown(of({"image 2026-01-25T22:26:00": "major cycle 2"}, g=status()), terminal=True)
    assert "image 2026-01-25T22:26:00: major cycle 2" in text
    assert "convert: 1 of 2 done" in text


def test_quiet_is_quiet():
    assert shown(of(g=status()), quiet=True) == ""


def test_counts_are_those_of_the_status():
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(status_table(status()))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[0] == ["stage", "done", "running", "failed", "seconds", "verdict"]
    assert rows[1] == ["convert", "1/2", "1", "3.2", "pass"]
    assert rows[2] == ["image", "0/2", "1"]


def test_of_several_groups_each_line_names_its_own():
    text = shown(of(a=status(), b=status(2)), of(a=status(), b=status(2, phase="Published")))
    assert [line.split(":")[0] for line in text.splitlines()] == ["a", "b", "b"]
    assert "b: Published" in text
    table = Console(file=io.StringIO(), width=120, record=True)
    table.print(group_table({"b": status(2), "a": status()}))
    rows = [line.split() for line in table.export_text().splitlines()]
    assert [row[0] for row in rows] == ["group", "a", "b"]


def test_what_is_told_is_told_once():
    text = shown(of(told=["/x.hdf5 is no HDF5"], a=status()), of(told=["/x.hdf5 is no HDF5"], a=status()))
    assert text.count("/x.hdf5") == 1


def test_a_survey_names_the_latest_recordings_that_no_group_has():
    ungrouped = tuple(UngroupedStatus(observation=f"o{n:02d}", reason="alone") for n in range(SHOWN + 3))
    found = SurveyStatus(observed_generation=1, phase="Running", message="2 groups formed", ungrouped=ungrouped)
    lines = [line.plain for line in survey_lines({"strip": found})]
    assert lines[0] == "survey strip: Running: 2 groups formed"
    assert f"o{SHOWN + 2:02d}" in lines[-1]
    assert "alone" in lines[-1]
    assert not any("o00" in line for line in lines)
