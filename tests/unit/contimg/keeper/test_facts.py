"""Windows, pages and what ingest writes, looked up when they are asked for."""

from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keeper_site import T0, everything, task_of

from contimg.keeper.facts import lock_is_live
from contimg.keeper.keeper import Keeper
from contimg.limits import KIB, ProtocolLimits
from contimg.models.fact import Facts, IngestFact, Needs, UnsealedFact


def minute(minutes):
    return T0 + timedelta(minutes=minutes)


def minutes_of(facts):
    return [(item.start - T0) / timedelta(minutes=1) for item in facts.observations]


@pytest.fixture
def keeper(site, layout):
    for minutes in (10, 0, 20, 5):
        site.observation(minutes)
    with Keeper(layout) as found:
        yield found


@pytest.mark.parametrize(
    ("start", "end", "count", "expected"),
    [
        (None, None, None, []),
        (5, None, None, [5, 10, 20]),
        (5, 11, None, [5, 10, 20]),
        (5, 10, None, [5, 10]),
        (-60, -50, None, [0]),
        (21, 30, None, []),
        (0, None, 1, [0, 5]),
        (0, None, 3, [0, 5, 10, 20]),
        (0, None, 9, [0, 5, 10, 20]),
    ],
)
def test_a_window_ends_with_the_first_observation_after_it(keeper, start, end, count, expected):
    bounds = {name: minute(value) for name, value in (("start", start), ("end", end)) if value is not None}
    assert minutes_of(keeper.facts(Needs(group="g", count=count, **bounds))) == expected


def test_observations_by_name_and_of_one_instrument(keeper):
    names = ("2026-01-25T22:05:00", "2026-01-25T22:20:00", "2026-01-25T23:00:00")
    assert minutes_of(keeper.facts(Needs(group="g", ids=names))) == [5, 20]
    assert minutes_of(keeper.facts(Needs(group="g", start=T0, instrument="vla"))) == []
    assert minutes_of(keeper.facts(Needs(group="g", start=T0, instrument="dsa110"))) == [0, 5, 10, 20]


def test_what_another_process_wrote_is_seen_at_once(site, layout, keeper):
    """A record that is new, one that was replaced, and where ingest stands: nobody tells the keeper."""
    assert keeper.facts(Needs(group="g")).ingest == IngestFact()
    said = IngestFact(scanned=T0, unsealed=(UnsealedFact(start=T0, sentence="waits for sb07"),))
    layout.ingest_fact.write_text(said.model_dump_json())
    late = site.observation(24 * 60)
    needs = Needs(group="g", ids=(late.id,))
    facts = keeper.facts(needs)
    assert facts.observations == (late,)
    assert facts.ingest == said
    site.observation(24 * 60, "incomplete")
    assert keeper.facts(needs).observations[0].state == "incomplete"
    layout.record(late).unlink()
    assert keeper.facts(needs).observations == ()
    layout.ingest_fact.write_text("{")
    assert "ingest.json is no IngestFact" in keeper.facts(needs).ingest.problems[0]


def test_a_day_that_did_not_change_is_not_listed(site, layout, monkeypatch):
    site.observation(0)
    old = time.time() - 10
    os.utime(layout.observations / "2026-01-25", (old, old))
    with Keeper(layout) as keeper:
        monkeypatch.setattr("contimg.keeper.sources._files", lambda _: pytest.fail("listed again"))
        assert len(keeper.facts(Needs(group="g", start=T0)).observations) == 1
        keeper.scan()


def test_a_survey_is_answered_in_pages_without_files(site, layout):
    for minutes in range(0, 300, 5):
        site.observation(minutes)
    with Keeper(layout, ProtocolLimits(page_bytes=8 * KIB)) as keeper:
        found, after, pages = [], "", 0
        while True:
            page = keeper.survey(minute(30), after)
            found += minutes_of(page)
            pages += 1
            assert len(page.model_dump_json()) < 8 * KIB
            assert all(item.files == () for item in page.observations)
            if not page.more:
                break
            after = page.more
        assert found == list(range(30, 300, 5))
        assert pages > 3
        assert len(keeper.survey(None).observations) > 0


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_pages_of_any_size_say_what_one_page_says(tmp_path_factory, data):
    from keeper_site import Site  # noqa: PLC0415 - a fixture of its own per example

    from contimg.volume.layout import Layout  # noqa: PLC0415 - same

    base = tmp_path_factory.mktemp("pages")
    layout = Layout(base / "stage", base / "data")
    site = Site(layout)
    for minutes in data.draw(st.lists(st.integers(0, 50), unique=True, max_size=8)):
        site.observation(minutes)
    runs = [site.commit("convert", f"u{n}") for n in range(data.draw(st.integers(0, 6)))]
    runs += [
        site.commit("solve", f"g{n}", info={"mode": "own", "calibrator": "c", "transit": str(T0), "dec_deg": 1.0})
        for n in range(data.draw(st.integers(0, 4)))
    ]
    for n in range(data.draw(st.integers(0, 3))):
        site.attempt(task_of(f"convert u{n} a"), 1, "failed", error="Retryable")
    with Keeper(layout) as keeper:
        for task, home in runs:
            keeper.register_run(task, home)
        whole = everything(keeper)
    with Keeper(layout, ProtocolLimits(page_bytes=data.draw(st.integers(1, 6000)))) as keeper:
        assert everything(keeper) == whole


def test_the_facts_of_five_thousand_members_come_in_pages_that_fit(site, layout):
    tasks = tuple(task_of(f"convert u{n} a") for n in range(300))
    with Keeper(layout, ProtocolLimits(page_bytes=16 * KIB)) as keeper:
        for n in range(300):
            keeper.register_run(*site.commit("convert", f"u{n}"))
        found, needs = Facts(), Needs(group="g", tasks=tasks)
        while True:
            page = keeper.page(needs)
            assert len(page.model_dump_json()) <= 16 * KIB
            found = found.merged(page)
            if not page.more:
                break
            needs = needs.model_copy(update={"after": page.more})
        assert set(found.runs) == set(tasks)


def test_what_a_look_costs_does_not_depend_on_what_was_ever_processed(site, layout, monkeypatch):
    """Counted in queries and files looked at, not in seconds."""
    costs = []
    with Keeper(layout) as keeper:
        task, home = site.commit("convert", "u0")
        keeper.register_run(task, home)
        needs = Needs(group="g", tasks=(task,), units=(("convert", "u0"),))
        keeper.facts(needs)
        for more in (0, 40):
            for n in range(more):
                keeper.register_run(*site.commit("convert", f"other{n}"))
            seen = []
            count(monkeypatch, seen)
            keeper.facts(needs)
            monkeypatch.undo()
            costs.append(len(seen))
    assert costs[0] == costs[1]


def count(monkeypatch, seen):
    from contimg.keeper.index import Index  # noqa: PLC0415 - patched here alone

    stat, stream = os.stat, Index.stream
    monkeypatch.setattr(os, "stat", lambda *args, **more: (seen.append(args), stat(*args, **more))[1])
    monkeypatch.setattr(Index, "stream", lambda *args: (seen.append(args), stream(*args))[1])


def test_why_a_worker_has_not_begun_is_told(site, layout):
    task, other = task_of("x"), task_of("y")
    site.attempt(other, 1, "failed", error="Retryable")
    for name in (task, other):
        path = layout.attempts / name / "wait.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"since": "2026-01-25T22:00:00Z", "sentence": "123 bytes are missing"}')
    with Keeper(layout) as keeper:
        tries = everything(keeper).tries
        assert {item.waits for item in tries.values()} == {"123 bytes are missing"}
        assert (tries[task].round, tries[task].last, tries[other].failed) == (0, None, 1)
        (layout.attempts / task / "wait.json").unlink()
        assert set(everything(keeper).tries) == {other}


def test_probing_a_lock_neither_makes_nor_keeps_nor_touches_it(tmp_path):
    lock = tmp_path / "lock"
    assert not lock_is_live(lock, 100)
    assert not lock.exists()
    lock.touch()
    before = lock.stat().st_mtime_ns
    assert not lock_is_live(lock, 100)
    with lock.open() as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the probe left nothing behind
        assert lock_is_live(lock, 100)
        assert lock.stat().st_mtime_ns == before
        old = time.time() - 101
        os.utime(lock, (old, old))
        assert not lock_is_live(lock, 100)
