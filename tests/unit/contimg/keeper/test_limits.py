"""Clean-up exactly at its limits, filters of the questions, pages and stored inputs as properties."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeper_site import T0, task_of

from contimg.errors import BadInput, Damaged
from contimg.keeper.facts import TASKS_AT_ONCE, try_fact
from contimg.keeper.inputs import load_inputs, store_inputs
from contimg.keeper.keeper import Keeper
from contimg.keeper.queries import Chosen
from contimg.keeper.service import HANDLERS, KeeperClient
from contimg.limits import ProtocolLimits
from contimg.models.fact import Needs
from contimg.models.manifest import AttemptRecord
from contimg.models.spec import data_types
from contimg.models.survey import FileSetRules
from contimg.volume.layout import Layout

LIMITS = ProtocolLimits()
TICK = timedelta(microseconds=1)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def settled(site, keeper, stage="convert", unit="u"):
    task, home = site.commit(stage, unit)
    keeper.register_run(task, home)
    return task


@pytest.mark.parametrize(("stage", "days"), [("convert", 7), ("image", 30), ("mosaic", 90), ("solve", 90)])
@pytest.mark.parametrize(("early", "goes"), [(TICK, False), (timedelta(), True), (-TICK, True)])
def test_retention_ends_exactly_at_its_limit(site, layout, stage, days, early, goes):
    site.finished = NOW - timedelta(days=days) + early
    with Keeper(layout) as keeper:
        task = settled(site, keeper, stage)
        keeper.wanted([task], NOW - timedelta(days=days))
        keeper.wanted([], NOW)
        assert keeper.clean(NOW).released == ([task] if goes else [])


@pytest.mark.parametrize(("early", "goes"), [(TICK, False), (timedelta(), True), (-TICK, True)])
def test_a_run_must_be_unwanted_for_exactly_a_day(site, layout, early, goes):
    site.finished = NOW - timedelta(days=100)
    with Keeper(layout) as keeper:
        task = settled(site, keeper)
        keeper.wanted([task], NOW - timedelta(seconds=LIMITS.unwanted_s) + early)
        keeper.wanted([], NOW)
        assert keeper.clean(NOW).released == ([task] if goes else [])


@pytest.mark.parametrize(("late", "goes"), [(-TICK, True), (timedelta(), False), (TICK, False)])
def test_the_last_word_counts_for_less_than_half_an_hour(site, layout, late, goes):
    site.finished = NOW - timedelta(days=100)
    with Keeper(layout) as keeper:
        task = settled(site, keeper)
        keeper.wanted([task], NOW - timedelta(days=50))
        keeper.wanted([], NOW - timedelta(seconds=LIMITS.wanted_fresh_s) - late)
        assert keeper.clean(NOW).released == ([task] if goes else [])


@pytest.mark.parametrize(("seconds", "goes"), [(-1, False), (0, True), (1, True)])
def test_logs_and_attempts_go_exactly_at_their_limits(layout, seconds, goes):
    log = layout.failed / "2026-01-25" / "x_error.log"
    attempt = layout.active("imaging") / "dead-1"
    with Keeper(layout) as keeper:
        for path, kept in ((log, LIMITS.failed_kept_s), (attempt / "half", LIMITS.abandoned_s)):
            path.parent.mkdir(parents=True)
            path.touch()
            then = NOW.timestamp() - kept - seconds
            os.utime(path, (then, then))
            os.utime(path.parent, (then, then))
        report = keeper.clean(NOW)
    assert (report.logs, report.attempts) == (([log], [attempt]) if goes else ([], []))
    assert log.exists() is attempt.exists() is not goes


def test_wanted_counts_beyond_one_statement(site, layout):
    site.finished = NOW - timedelta(days=100)
    with Keeper(layout) as keeper:
        tasks = [settled(site, keeper, unit=f"u{n}") for n in range(3)]
        keeper.wanted([], NOW)
        keeper.wanted([*(task_of(f"unknown {n}") for n in range(1200)), *tasks], NOW)
        assert keeper.clean(NOW).released == []


@pytest.fixture
def many(site, layout):
    with Keeper(layout) as keeper:
        for n in range(3):
            for stage in ("convert", "image"):
                keeper.register_run(*site.commit(stage, f"u{n}"))
        yield keeper


def test_lists_are_filtered_by_every_field_and_all_of_them(many):
    def runs(**chosen):
        return list(many.queries.rows("runs", Chosen(**chosen)))

    assert len(runs()) == 6
    assert {row["stage"] for row in runs(stage="image")} == {"image"}
    assert len(runs(stage="image", group="g", date="2026-01-25")) == 3
    assert runs(stage="image", group="other") == runs(date="2026-01-26") == runs(state="released") == []
    assert len(runs(state="staging")) == 6
    products = list(many.queries.rows("products", Chosen(stage="image", state="staging")))
    assert {row["data_type"] for row in products} == {"image"}
    assert len(many.queries.products(task_of("image u2 a"))) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noun=st.sampled_from(["runs", "products"]), first=st.integers(0, 6))
def test_a_list_goes_on_after_any_of_its_rows(many, noun, first):
    whole = list(many.queries.rows(noun))
    rest = list(many.queries.rows(noun, Chosen(after=whole[first - 1]["key"] if first else "")))
    assert rest == whole[first:]


def test_a_run_is_found_by_an_unambiguous_begin_alone(many):
    task = task_of("image u2 a")
    assert many.queries.run(task).unit == many.queries.run(task[:12]).unit == "u2"
    assert many.queries.run("f" * 32) is None


@pytest.mark.parametrize("word", ["%", "_" * 32, "%a%"])
def test_a_begin_of_an_id_is_no_pattern(site, layout, word):
    with Keeper(layout) as keeper:
        settled(site, keeper)
        assert keeper.queries.run(word) is None


@pytest.mark.parametrize("stage", ["convert", "solve", "apply", "image", "mosaic", "crossmatch"])
def test_a_product_of_every_stage_is_traced_to_its_run(site, layout, stage):
    with Keeper(layout) as keeper:
        raw = site.commit("convert", "base", raw=("2026-01-25/x_sb00.hdf5",))
        keeper.register_run(*raw)
        task, home = site.commit(stage, "u", inputs=[raw])
        site.name(task, home)
        keeper.register_run(task, home)
        manifest = site.run(task, home).manifest
        found = keeper.queries.trace(layout.home(home) / manifest.products[0].names[0])
    assert [step.stage for step in found.steps] == [stage, "convert"]
    assert found.product == f"{home}_u"
    assert found.raw == ("2026-01-25/x_sb00.hdf5",)


def test_a_diamond_of_inputs_is_traced_once_each(site, layout):
    with Keeper(layout) as keeper:
        base = site.commit("convert", "base", raw=("r",))
        sides = [site.commit("image", f"side{n}", inputs=[base]) for n in range(2)]
        top = site.commit("mosaic", "g", inputs=sides)
        for task, home in (base, *sides, top):
            keeper.register_run(task, home)
        found = keeper.queries.trace(layout.run(top[1], top[0]) / "g.fits")
    assert [step.unit for step in found.steps] == ["g", "side0", "side1", "base"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["Retryable", "WorkerLost", "BadInput"]), min_size=1, max_size=14))
def test_what_is_on_record_decides_whether_a_task_is_given_up(errors):
    layout = Layout(Path("/nowhere"), Path("/nowhere"))
    records = [
        AttemptRecord(
            task=task_of("x"), number=n + 1, stage="s", unit="u", group="g", state="failed", error=error,
            counted=error != "WorkerLost", started=T0,
        )
        for n, error in enumerate(errors)
    ]  # fmt: skip
    found = try_fact(layout, records[::-1], LIMITS)
    lost = errors.count("WorkerLost")
    assert (found.failed, found.lost, found.last.number) == (len(errors) - lost, lost, len(errors))
    assert found.final is (errors[-1] == "BadInput" or len(errors) - lost >= 3 or lost >= LIMITS.lost_cap)
    assert not found.running


@settings(max_examples=30, deadline=None)
@given(inputs=st.dictionaries(st.sampled_from(sorted(data_types())), st.lists(st.text("0123456789abcdef"), max_size=3)))
def test_stored_inputs_come_back(tmp_path_factory, inputs):
    base = tmp_path_factory.getbasetemp() / "inputs"
    layout = Layout(base / "stage", base / "data")
    digest = store_inputs(layout, inputs)
    assert load_inputs(layout, digest) == inputs
    assert store_inputs(layout, dict(reversed(inputs.items()))) == digest


def test_inputs_nobody_stored_or_somebody_changed_are_named(layout):
    with pytest.raises(BadInput, match=r"inputs abc are not in .*/inputs; ask for the task again"):
        load_inputs(layout, "abc")
    digest = store_inputs(layout, {"image": ["a"]})
    path = layout.state / "inputs" / f"{digest}.json"
    path.write_text('{"image": ["b"]}')
    with pytest.raises(Damaged, match=rf"{digest}.json does not match its name; remove it"):
        load_inputs(layout, digest)


class Line:
    """Takes what a client asks and answers as the keeper at the other end does."""

    def __init__(self, keeper):
        self.keeper, self.asked = keeper, []

    async def request(self, subject, message):
        self.asked.append((subject, message))
        return HANDLERS[subject.rpartition(".")[2]](self.keeper, message)


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (TASKS_AT_ONCE, 1), (TASKS_AT_ONCE + 1, 2)])
async def test_wishes_are_sent_in_pages_and_an_empty_one_is_said_too(layout, count, pages):
    with Keeper(layout) as keeper:
        line = Line(keeper)
        await KeeperClient(line, "main").wanted([f"{n:032x}" for n in range(count)] * 2)
    assert [subject for subject, _ in line.asked] == ["contimg.rpc.main.wanted"] * pages
    assert sum(len(message["tasks"]) for _, message in line.asked) == count
    assert all(len(message["tasks"]) <= TASKS_AT_ONCE for _, message in line.asked)


async def test_the_client_gets_what_the_keeper_knows(site, layout):
    with Keeper(layout) as keeper:
        client = KeeperClient(Line(keeper), "main")
        task, home = site.commit("image", "u")
        keeper.register_run(task, home)
        site.attempt(task, 1, "failed", error="Retryable")
        keeper.register_attempt(task, 1)
        record = site.observation(0)
        needs = Needs(group="g", tasks=(task,), start=T0)
        facts = await client.facts(needs)
        assert facts == keeper.facts(needs)
        assert (facts.runs[task].unit, facts.tries[task].failed, facts.observations) == ("u", 1, (record,))
        assert await client.survey(T0) == keeper.survey(T0)
        await client.rules({"dsa110": FileSetRules(expect=3)})
        assert '"expect": 3' in layout.ingest_rules.read_text()
        digest = await client.put_inputs({"image": (task,)})
        assert await client.inputs(digest) == {"image": (task,)}


def test_an_unknown_kind_of_registration_is_told_what_there_is(layout):
    with Keeper(layout) as keeper, pytest.raises(BadInput, match="cannot take kind 'star'; it takes run, attempt, gr"):
        HANDLERS["register"](keeper, {"kind": "star"})
