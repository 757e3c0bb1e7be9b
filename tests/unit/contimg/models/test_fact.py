"""Facts that come in several answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from engine_world import START, observation

from contimg.models.fact import Facts, IngestFact, Offer, OfferWindow, RunFact, TryFact
from contimg.models.quality import Verdict


def offer(task, hours, **changes):
    what = {"stage": "s", "group": "g", "key": "k", "verdict": Verdict.PASS, **changes}
    return Offer(task=task * 32, at=START + timedelta(hours=hours), **what)


def run(task, **changes):
    given = {"stage": "s", "unit": "u", "home": "h", "present": True, "verdict": "pass", "finished": START, **changes}
    return RunFact(task=task * 32, **given)


def test_answers_are_joined_each_thing_once_in_order():
    first = Facts(
        observations=(observation(2), observation(0)),
        runs={"a": run("a")},
        offers=(offer("b", 5),),
        reference={"flags:2026-01-25": "1"},
        more="next",
    )
    second = Facts(
        observations=(observation(1), observation(2)),
        runs={"c": run("c")},
        tries={"c": TryFact(task="c" * 32, round=0)},
        offers=(offer("a", 1), offer("b", 5)),
        reference={"flags:2026-01-26": "2"},
        ingest=IngestFact(scanned=START),
    )
    both = first.merged(second)
    assert [item.id for item in both.observations] == [observation(i).id for i in range(3)]
    assert (set(both.runs), set(both.tries)) == ({"a", "c"}, {"c"})
    assert [item.task[0] for item in both.offers] == ["a", "b"]
    assert set(both.reference) == {"flags:2026-01-25", "flags:2026-01-26"}
    assert (both.ingest.scanned, both.more) == (START, "")


def test_of_two_statements_the_later_counts():
    both = Facts(runs={"a": run("a")}).merged(Facts(runs={"a": run("a", present=False)}))
    assert not both.runs["a"].present


def test_trouble_in_one_answer_is_trouble_in_all():
    for name in ("bus_full", "bus_away", "keeper_silent"):
        assert getattr(Facts(**{name: True}).merged(Facts()), name)


def test_a_window_ends_where_recordings_end():
    early, late = datetime(1950, 12, 31, tzinfo=UTC), datetime(2150, 1, 2, tzinfo=UTC)
    window = OfferWindow(stage="solve", start=early, end=late)
    assert (window.start.year, window.end.year) == (1951, 2149)
    assert OfferWindow.model_validate_json(window.model_dump_json()) == window
