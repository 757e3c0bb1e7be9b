"""One machine: when a run is over, what it wants, and that it cleans up as a cluster does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from engine_world import START
from keeper_site import Site
from structlog.testing import capture_logs

from contimg.engine.advance import Decision
from contimg.errors import BadConfig
from contimg.host.files import Shelf
from contimg.host.local import LocalOptions, _Machine, _over, look_at, run_group
from contimg.keeper import Keeper
from contimg.keeper.tables import runs
from contimg.limits import ProtocolLimits
from contimg.models.group import Condition, GroupStatus, ObservationGroup, StageStatus
from contimg.models.task import Event
from contimg.pipelines import pipeline
from contimg.volume.layout import Layout

DSA = pipeline("dsa110-continuum")
OLD = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "stage", tmp_path / "data")
    made.incoming.mkdir(parents=True)
    made.stage_base.mkdir()
    return made


@pytest.fixture
def options(layout, tmp_path):
    return LocalOptions(layout, tmp_path / "g.yaml")


def group(name="g", **spec):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": START.isoformat(), "count": 1}} | spec
    return ObservationGroup.model_validate({"metadata": {"name": name}, "spec": wish})


@pytest.fixture
def machine(options):
    made = _Machine(group(), DSA, options, lambda _: None)
    yield made
    made.keeper.close()


def condition(type_, status, reason="R"):
    return Condition(
        type=type_, status=status, reason=reason, message="", observed_generation=1, last_transition_time=OLD
    )


def decision(phase="Waiting", *conditions, running=0, tasks=(), wanted=()):
    stages = (StageStatus(stage="convert", done=0, total=1, running=running),)
    status = GroupStatus(observed_generation=1, phase=phase, conditions=conditions, stages=stages)
    return Decision(tasks, status, None, wanted)


@pytest.mark.parametrize(
    ("made", "watch", "over"),
    [
        (decision("Published", condition("Succeeded", "True")), False, True),
        (decision("Published", condition("Succeeded", "True")), True, True),
        (decision("Waiting"), False, True),  # incoming/ is complete: nothing can come any more
        (decision("Waiting"), True, False),
        (decision("Failed"), True, True),
        (decision("Unpublished"), True, True),
        (decision("Suspended"), True, True),
        (decision("Stalled"), True, True),  # a person must mend it
        (decision("Running", running=1), False, False),
        (decision("Running", condition("Progressing", "Unknown")), False, False),  # the keeper will speak again
        (decision("Running", tasks=("a task",)), False, False),
    ],
)
def test_when_nothing_more_will_happen(made, watch, over, machine):
    machine.options = replace(machine.options, watch=watch)
    assert _over(made, machine) is over


def test_while_a_worker_is_at_it_a_run_is_never_over(machine):
    machine.running["convert u"] = ""
    assert not _over(decision("Published", condition("Succeeded", "True")), machine)


def event(kind, **data):
    return Event(
        id="1", source="s", type=f"org.contimg.task.{kind}", subject="image/2026-01-25T22:00:13", time=OLD, data=data
    )


def test_events_say_what_runs_and_count_the_attempts(machine):
    async def tell(*events):
        for one in events:
            await machine.on_event(one)

    asyncio.run(tell(event("started"), event("progress", what="3 of 7 channels")))
    assert machine.running == {"image 2026-01-25T22:00:13": "3 of 7 channels"}
    assert machine.wake.is_set()
    asyncio.run(tell(event("failed"), event("started"), event("committed"), event("committed")))
    assert machine.running == {}
    assert machine.started == 2


def old_run(site, keeper, unit="u"):
    """A converted observation long past its retention, that nobody has wanted for months."""
    site.finished = OLD
    task, home = site.commit("convert", unit)
    keeper.register_run(task, home)
    with keeper.index.begin("products") as connection:
        connection.execute(runs.update().where(runs.c.task == task).values(wanted_at="2026-01-01T00:00:00.000000Z"))
    return task, home


def test_what_nobody_wants_goes_at_the_end_of_a_run(machine, layout):
    task, home = old_run(Site(layout), machine.keeper)
    machine.tend(decision())
    assert not layout.run(home, task).exists()
    assert (layout.manifests / f"{task}.json").is_file()


def test_what_the_group_wants_stays(machine, layout):
    task, home = old_run(Site(layout), machine.keeper)
    machine.tend(decision(wanted=(task,)))
    assert layout.run(home, task).exists()


def test_what_another_unfinished_group_of_the_machine_wants_stays(machine, layout, tmp_path):
    """Runs of other groups are spared by asking the engine about each of them."""
    site = Site(layout)
    record = site.observation(0)
    machine.keeper.refresh_ingest()
    Shelf(layout).put(group("other", observations={"members": [record.id]}), tmp_path / "other.yaml")
    wishes = machine.wanted(decision())
    assert len(wishes) == 1, "the other group's convert task, known before it was asked for"
    (tmp_path / "data/state/resources/other.json").unlink()
    assert machine.wanted(decision()) == set()


def test_where_a_group_cannot_be_read_nothing_is_released(machine, layout, tmp_path):
    task, home = old_run(Site(layout), machine.keeper)
    Shelf(layout).put(group("other"), tmp_path / "other.yaml")
    (layout.state / "resources" / "other.json").write_text("{")
    machine.tend(decision())
    assert layout.run(home, task).exists()
    assert machine.is_tended(), "not tried again at every look"


def test_it_cleans_up_at_the_start_and_then_every_ten_minutes(machine):
    assert not machine.is_tended()
    machine.tend(decision())
    assert machine.is_tended()
    machine.options = replace(machine.options, limits=ProtocolLimits(cleanup_s=0.0))
    assert not machine.is_tended()


async def test_a_group_without_files_ends_at_once_and_says_what_is_missing(options, layout):
    """No server is started for it: there is nothing to ask for."""
    seen = []
    outcome = await run_group(group(), DSA, options, seen.append)
    assert outcome.status.phase in {"Waiting", "Stalled"}
    assert outcome.stages_run == 0
    assert outcome.status.message
    assert seen[-1].status == outcome.status
    assert Shelf(layout).status("g") == outcome.status
    assert (options.source.with_name("g.status.yaml")).is_file()
    assert not (layout.state / "nats").exists()


async def test_such_a_run_cleans_up_too_and_lets_go_of_the_keeper(options, layout):
    with Keeper(layout) as keeper:
        task, home = old_run(Site(layout), keeper)
    await run_group(group(), DSA, options, lambda _: None)
    assert not layout.run(home, task).exists()
    Keeper(layout).close()


async def test_without_incoming_it_does_not_begin(options, layout):
    layout.incoming.rmdir()
    with pytest.raises(BadConfig, match=r"incoming does not exist; .* by --incoming"):
        await run_group(group(), DSA, options, lambda _: None)
    assert not (layout.state / "resources").exists()


def test_to_look_changes_nothing(options, layout):
    site = Site(layout)
    record = site.observation(0)
    look = look_at(group(observations={"members": [record.id]}), DSA, options)
    assert [task.stage for task in look.tasks] == ["convert"]
    assert Shelf(layout).names() == []
    assert not (layout.state / "nats").exists()


def test_to_look_while_a_run_goes_on_tells_what_that_decided_last(options, layout):
    shelf, wish = Shelf(layout), group()
    said = decision("Running").status
    shelf.put_status(wish, options.source, said)
    with Keeper(layout):
        assert look_at(wish, DSA, options) == Decision((), said)
    assert look_at(wish, DSA, options).status != said


def test_what_cannot_be_looked_at_is_told_once(machine, layout):
    loop = layout.incoming / "2026-01-25T18:40:00_sb00.hdf5"
    loop.symlink_to(loop.name)
    with capture_logs() as told:
        machine.look()
        machine.look()
    sentence = f"{loop} cannot be looked at (Too many levels of symbolic links); mend or remove it"
    assert [line["sentence"] for line in told if line["event"] == "incoming"] == [sentence]


@pytest.mark.parametrize(("watch", "late"), [(False, True), (True, False)])
def test_a_scan_that_took_long_counts_from_its_end_where_incoming_is_complete(watch, late, machine, options):
    """Its begin lies before the group's first decision: that would wait for a scan that never comes."""
    scan = machine.scanner.scan

    class Slow:
        def scan(self, _now):
            return scan(OLD)

    machine.options, machine.scanner = replace(options, watch=watch), Slow()
    machine.look()
    assert (machine.facts().ingest.scanned > OLD) is late


@pytest.mark.parametrize("url", ["ftp://host/bucket", "http://host", "embeded"])
async def test_a_store_that_cannot_be_one_is_refused_before_anything_begins(url, options, layout):
    with pytest.raises(BadConfig, match=url):
        await run_group(group(), DSA, replace(options, s3=url), lambda _: None)
    assert not (layout.state / "resources").exists()
