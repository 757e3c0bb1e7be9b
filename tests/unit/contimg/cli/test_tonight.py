"""``contimg tonight``: the last day of one place in a few lines; it only looks."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from keeper_site import T0, Site
from typer.testing import CliRunner

from contimg.cli.main import app
from contimg.cli.tonight import NIGHT, look
from contimg.errors import BadConfig
from contimg.host.store import ResourceStore
from contimg.keeper.keeper import Keeper
from contimg.models.fact import IngestFact, UnsealedFact
from contimg.models.group import GroupStatus, ObservationGroup, StageStatus
from contimg.models.quality import Verdict
from contimg.models.reason import Phase
from contimg.models.survey import Survey, SurveyStatus, UngroupedStatus
from contimg.volume import disk
from contimg.volume.layout import Layout

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SENTENCE = "14 of 16 files, missing sb03, sb04"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "s", tmp_path / "d")


def group(name):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T22:00:00Z", "count": 1}}
    return ObservationGroup.model_validate({"metadata": {"name": name}, "spec": wish})


def put(layout, name, phase, **more):
    """Leave a group with a status, as a run of it does."""
    status = GroupStatus(observed_generation=1, phase=phase, **{"message": f"{name} says so"} | more)
    store = ResourceStore(layout)
    source = layout.state / f"{name}.yaml"
    disk.write(source, "here\n")
    store.put_status(store.put(group(name), source), layout.state / "beside", status)


def put_survey(layout, *reasons):
    spec = {"metadata": {"name": "night"}, "spec": {"pipeline": "dsa110-continuum"}}
    ungrouped = tuple(UngroupedStatus(observation=f"2026-01-25T22:0{n}:13", reason=r) for n, r in enumerate(reasons))
    status = SurveyStatus(observed_generation=1, phase=Phase.RUNNING, message="2 groups", ungrouped=ungrouped)
    store = ResourceStore(layout)
    store.put_status(store.put(Survey.model_validate(spec), layout.state / "n.yaml"), layout.state / "beside", status)


def arrive(layout, *states, step=5):
    """Let recordings arrive, one every few minutes from ``T0``, and a keeper take them in."""
    site = Site(layout)
    for number, state in enumerate(states):
        site.observation(step * number, state)
    with Keeper(layout) as keeper:
        keeper.scan()


def shown(layout, **env):
    bases = ["--stage-base", str(layout.stage_base), "--data-base", str(layout.data_base)]
    return CliRunner().invoke(app, ["tonight", *bases], env=env)


def lines(layout):
    done = shown(layout)
    assert done.exit_code == 0, repr(done.exception)
    return [line.rstrip() for line in done.output.splitlines()]


def ingest(layout, text):
    layout.ingest_fact.parent.mkdir(parents=True, exist_ok=True)
    layout.ingest_fact.write_text(text)


# -- what it counts -------------------------------------------------------------------------------------------------


def test_where_nothing_was_run_there_is_nothing_and_nothing_is_made(layout, tmp_path):
    night = look(layout, T0)
    assert (night.arrived.total(), night.unsealed, night.groups, night.surveys, night.holder) == (0, (), {}, {}, "")
    assert lines(layout) == [
        "last 24 h: 0 recordings, 0 still being written; groups: none; nobody is at work",
    ]
    assert list(tmp_path.iterdir()) == []


def test_recordings_of_the_last_day_by_state(layout):
    arrive(layout, "sealed", "sealed", "incomplete")
    assert look(layout, T0 + HOUR).arrived == {"sealed": 2, "incomplete": 1}


@pytest.mark.parametrize(("after", "count"), [(NIGHT, 3), (NIGHT + MINUTE, 2), (NIGHT + 6 * MINUTE, 1), (2 * NIGHT, 0)])
def test_a_recording_counts_for_a_day_from_its_start(layout, after, count):
    """The day goes past midnight: two dates of the index are asked."""
    arrive(layout, "sealed", "sealed", "sealed")
    assert look(layout, T0 + after).arrived.total() == count


@pytest.mark.parametrize("phase", [Phase.PUBLISHED, Phase.UNPUBLISHED, Phase.FAILED])
def test_what_ended_is_shown_for_a_day(layout, phase):
    put(layout, "g", phase, finished=T0)
    assert set(look(layout, T0 + NIGHT).groups) == {"g"}
    assert look(layout, T0 + NIGHT + MINUTE).groups == {}


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.RUNNING, Phase.STALLED, Phase.SUSPENDED])
def test_what_is_not_ended_is_shown_however_old_it_is(layout, phase):
    put(layout, "g", phase, started=T0)
    assert set(look(layout, T0 + 40 * NIGHT).groups) == {"g"}


def test_one_bad_record_does_not_hide_the_others(layout):
    put(layout, "good", Phase.RUNNING)
    put(layout, "bad", Phase.RUNNING)
    put(layout, "odd", Phase.RUNNING)
    (layout.state / "resources" / "bad.status.json").write_text("{garbage")
    (layout.state / "resources" / "odd.status.json").unlink()
    (layout.state / "resources" / "odd.status.json").mkdir()
    (layout.state / "resources" / "new.json").write_text("{garbage")
    assert set(look(layout, T0).groups) == {"good"}


@pytest.mark.parametrize("text", ["", "{garbage", "[]", '{"unsealed": 3}'])
def test_a_damaged_statement_of_ingest_counts_as_none(layout, text):
    ingest(layout, text)
    assert look(layout, T0).unsealed == ()


# -- what it says ---------------------------------------------------------------------------------------------------


def test_the_headline_counts_phases_and_names_who_works_here(layout):
    for name, phase in (("a", Phase.RUNNING), ("b", Phase.RUNNING), ("c", Phase.WAITING)):
        put(layout, name, phase)
    assert "groups: 2 running, 1 waiting; nobody is at work" in lines(layout)[0]
    with Keeper(layout):
        assert "; at work: pid " in lines(layout)[0]
        assert look(layout, T0).holder.startswith("pid ")


def test_a_group_whose_file_was_removed_says_so(layout):
    put(layout, "gone", Phase.RUNNING)
    put(layout, "over", Phase.FAILED, finished=datetime.now(UTC))
    for name in ("gone", "over"):
        (layout.state / f"{name}.yaml").unlink()
    text = lines(layout)
    assert "groups: 1 failed, 1 removed; " in text[0]
    assert text[2].split()[:2] == ["gone", "Removed"]
    assert text[2].endswith("its file was removed, so nothing is asked for")
    assert text[3].split()[:2] == ["over", "Failed"]


def test_incomplete_recordings_stand_in_the_headline(layout, monkeypatch):
    now = datetime.now(UTC)
    monkeypatch.setattr("keeper_site.T0", now - HOUR)
    arrive(layout, "sealed", "incomplete", "incomplete", step=1)
    assert lines(layout)[0].startswith("last 24 h: 3 recordings (2 incomplete), 0 still being written; ")


def test_what_is_being_written_is_named(layout):
    fact = IngestFact(scanned=T0, unsealed=(UnsealedFact(start=T0, sentence=SENTENCE),))
    ingest(layout, fact.model_dump_json())
    text = lines(layout)
    assert "1 still being written" in text[0]
    assert text[1] == f"  being written: 22:00:00 {SENTENCE}"


def test_a_row_per_group_with_what_runs_and_what_failed(layout):
    stages = (
        StageStatus(stage="convert", done=2, total=3, running=1, verdict=Verdict.PASS),
        StageStatus(stage="image", done=0, total=3, running=2, failed=1),
        StageStatus(stage="mosaic", done=0, total=1),
    )
    put(layout, "g", Phase.RUNNING, stage="image", progress="0/3", stages=stages, verdict=Verdict.DEGRADED)
    head, row = lines(layout)[1:]
    assert head.split() == ["group", "phase", "progress", "running", "failed", "verdict", "says"]
    words = row.split()
    assert words[:9] == ["g", "Running", "image", "0/3", "1", "convert,", "2", "image", "1"]
    assert row.endswith("degraded  g says so")


def test_what_goes_on_stands_above_what_has_ended(layout):
    now = datetime.now(UTC)
    for name, phase in (("a", Phase.PUBLISHED), ("b", Phase.WAITING), ("c", Phase.FAILED), ("d", Phase.RUNNING)):
        put(layout, name, phase, finished=now if phase in {Phase.PUBLISHED, Phase.FAILED} else None)
    assert [line.split()[0] for line in lines(layout)[2:]] == ["b", "d", "a", "c"]


def test_surveys_name_the_recordings_that_no_group_has(layout):
    put_survey(layout, "the gap before it is longer than 900 s", "it is the last one of its run")
    text = lines(layout)
    assert text[1] == "survey night: Running: 2 groups"
    assert text[2] == "  2026-01-25T22:00:13 is in no group: the gap before it is longer than 900 s"
    assert text[3].endswith("it is the last one of its run")


def test_a_long_message_is_not_folded_where_a_program_reads_it(layout):
    message = " ".join(["waits", *(f"for-{n}" for n in range(80))])
    put(layout, "g", Phase.WAITING, message=message)
    assert lines(layout)[-1].endswith(message)


def test_words_in_brackets_are_shown_as_they_are(layout):
    """A message is no markup: else half of it would vanish, or end the command."""
    put(layout, "g", Phase.STALLED, message="field [red]x[/red] of [/tmp/a] is wrong")
    assert lines(layout)[-1].endswith("field [red]x[/red] of [/tmp/a] is wrong")


# -- how it is called -----------------------------------------------------------------------------------------------


def test_on_a_terminal_it_is_shown_anew_until_it_is_interrupted(layout, monkeypatch):
    looks = []

    def pause(seconds):
        looks.append(seconds)
        put(layout, f"g{len(looks)}", Phase.RUNNING)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    done = shown(layout, FORCE_COLOR="1", TERM="xterm", COLUMNS="200")
    assert done.exit_code == 130
    assert looks == [2.0] * 3
    assert "groups: 1 running" in done.output
    assert "groups: 2 running" in done.output


def test_a_misspelt_variable_is_refused_in_words(layout):
    done = shown(layout, CONTIMG_STAGE_BSE="/x")
    assert isinstance(done.exception, BadConfig)
    assert "CONTIMG_STAGE_BSE is unknown; did you mean 'CONTIMG_STAGE_BASE'" in str(done.exception)


def test_a_word_too_many_is_refused():
    done = CliRunner().invoke(app, ["tonight", "g1"])
    assert done.exit_code == 2
    assert "unexpected extra argument" in done.output
