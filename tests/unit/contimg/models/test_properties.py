"""Every model of the contracts: JSON and back, closed, frozen; digests that follow the meaning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contimg.models.base import Model
from contimg.models.fact import IngestFact, Offer, UnsealedFact
from contimg.models.group import GroupSpec, PublishSpec, Selection
from contimg.models.identity import SIGNIFICANT, digest, task_id
from contimg.models.manifest import AttemptRecord, InputRef, Manifest, Product, Usage
from contimg.models.observation import CalibratorTransit, ObservationRecord, ObservationState, RawFile, Role
from contimg.models.quality import Figure, Verdict, judge
from contimg.models.survey import FileSetRules, GroupRules, Survey
from contimg.models.task import Event, Limits, Task

FEW = settings(max_examples=25, deadline=None)
words = st.text("abcdefghij-_.0123456789é", min_size=1, max_size=12)
tasks = st.text("0123456789abcdef", min_size=32, max_size=32)
numbers = st.floats(-1e9, 1e9)
ids = st.text("abcXYZ019:._-", min_size=1, max_size=12).filter(lambda text: text[0].isalnum())
dates = st.dates().map(lambda day: f"{day:%Y-%m-%d}").filter(lambda text: len(text) == 10)
angles = st.floats(-90, 90)
times = st.datetimes(datetime(1995, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
values = st.dictionaries(words, st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | words, max_size=3)

transits = st.builds(
    CalibratorTransit, name=words, ra_deg=numbers, dec_deg=numbers, flux_jy=numbers, apparent_flux_jy=numbers,
    transit=times,
)  # fmt: skip
figures = st.builds(judge, words, st.none() | numbers, words, degraded_above=st.none() | numbers)
usages = st.builds(Usage, wall_s=numbers, cpu_s=numbers, peak_bytes=st.integers(0, 2**50))
products = st.builds(
    Product, type=words, id=words, path=words, names=st.lists(words, max_size=3).map(tuple), sha256=words, role=words
)
RECORDS = {
    "transit": transits,
    "figure": figures,
    "raw": st.builds(RawFile, path=words, role=words, bytes=st.integers(0), digest=words),
    "observation": times.flatmap(
        lambda start: st.builds(
            ObservationRecord, id=ids, instrument=st.just("dsa110"), state=st.sampled_from(ObservationState),
            start=st.just(start), end=st.floats(0, 1e5).map(lambda length: start + timedelta(seconds=length)),
            integrations=st.integers(0, 10**8), integration_s=st.floats(1e-3, 1e5), ra_deg=angles, dec_deg=angles,
            files=st.just(()), digest=words, bytes=st.integers(0), role=st.sampled_from(Role), sealed_at=times,
            calibrators=st.lists(transits, max_size=2).map(tuple), figures=st.lists(figures, max_size=2).map(tuple),
        )
    ),
    "manifest": st.builds(
        Manifest, task=tasks, stage=words, recipe_version=st.integers(0), version=words, unit=words, group=words,
        date=dates, params=values,
        inputs=st.lists(st.builds(InputRef, task=tasks, home=words, sha256=words)).map(tuple),
        products=st.lists(products, max_size=3).map(tuple), figures=st.lists(figures, max_size=2).map(tuple),
        verdict=st.sampled_from(Verdict), info=values, attempt=st.integers(1), host=words, started=times,
        finished=times, usage=usages,
    ),
    "attempt": st.builds(
        AttemptRecord, task=tasks, number=st.integers(1), stage=words, unit=words, group=words,
        state=st.sampled_from(["running", "failed", "committed"]), started=times, finished=st.none() | times,
        usage=usages,
    ),
    "task": st.builds(
        Task, task=tasks, stage=words, recipe_version=st.integers(0), unit=words, home=words, group=words, date=words,
        params=values, inputs=st.dictionaries(words, st.lists(tasks, max_size=2).map(tuple), max_size=2),
        limits=st.builds(Limits, time_s=numbers, tries=st.integers(1)),
    ),
    "event": st.builds(
        Event, id=words, source=words, type=st.just("org.contimg.task.failed"), subject=words, time=times, data=values
    ),
    "offer": st.builds(
        Offer, task=tasks, stage=words, group=words, key=words, at=times, position_deg=angles,
        verdict=st.sampled_from(Verdict),
    ),
    "ingest": st.builds(
        IngestFact, scanned=st.none() | times, unsealed=st.lists(st.builds(UnsealedFact, start=times, sentence=words)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
@FEW
@given(data=st.data())
def test_json_and_back_is_the_same_and_so_is_its_text(name, data):
    record = data.draw(RECORDS[name])
    text = record.model_dump_json()
    back = type(record).model_validate_json(text)
    assert back == record
    assert back.model_dump_json() == text


@pytest.mark.parametrize("name", RECORDS)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_records_are_closed_and_frozen(name, data):
    record = data.draw(RECORDS[name])
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(record).model_validate(record.model_dump() | {"no such field": 1})
    field = next(iter(type(record).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(record, field, getattr(record, field))


@FEW
@given(times, st.integers(-14 * 60, 14 * 60))
def test_a_time_is_the_same_in_every_zone(when, minutes):
    other = when.astimezone(timezone(timedelta(minutes=minutes)))
    read = UnsealedFact(start=other, sentence="")
    assert read.start == when
    assert read.start.tzinfo is UTC
    assert UnsealedFact(start=when.replace(tzinfo=None), sentence="").start == when


# Numbers as people and programs write them: few digits, any size.
short = st.tuples(st.integers(1, 999_999), st.integers(-12, 9)).map(lambda pair: float(f"{pair[0]}e{pair[1]}"))


@settings(max_examples=80, deadline=None)
@given(short, st.sampled_from([-1, 1]), st.booleans())
def test_the_digest_forgives_noise_of_the_last_digits_and_nothing_more(value, sign, negative):
    number = -value if negative else value
    assert digest({"x": number * (1 + sign * 1e-13)}) == digest({"x": number})
    assert digest({"x": number * (1 + sign * 1e-9)}) != digest({"x": number})


def test_twelve_digits_count():
    assert SIGNIFICANT == 12
    assert digest(1.23456789012) != digest(1.23456789013)
    assert digest(1.234567890123) == digest(1.2345678901234)


params = st.dictionaries(words, short | st.booleans() | words | st.lists(short, max_size=3), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(params, st.randoms(use_true_random=False))
def test_task_ids_do_not_depend_on_the_order_of_parameters_or_inputs(given_, order):
    items = list(given_.items())
    order.shuffle(items)
    inputs = {"tasks": {"image": ["a"], "raw_ms": ["b"]}, "raw": "r"}
    turned = {"raw": "r", "tasks": {"raw_ms": ["b"], "image": ["a"]}}
    assert task_id("image", 1, "u", dict(items), turned) == task_id("image", 1, "u", given_, inputs)


@settings(max_examples=60, deadline=None)
@given(params, st.data())
def test_a_parameter_more_or_less_is_another_task(given_, data):
    key = data.draw(st.sampled_from(sorted(given_)))
    fewer = {name: value for name, value in given_.items() if name != key}
    assert task_id("image", 1, "u", fewer, {}) != task_id("image", 1, "u", given_, {})


@pytest.mark.parametrize("bad", [2**53, -(2**53), 10**30])
def test_integers_that_json_readers_round_are_refused(bad):
    with pytest.raises(ValueError, match=r"[Ii]nteger|range|exceed"):
        digest({"x": bad})


@settings(max_examples=60, deadline=None)
@given(times, times, st.integers(-5, 5005), st.lists(ids, max_size=4), st.sets(st.sampled_from("secm")))
def test_a_selection_has_exactly_one_form(start, end, count, members, chosen):
    """``{start, end}``, ``{start, count}`` or ``{members}``, each within its bounds; nothing else."""
    fields = {"s": ("start", start), "e": ("end", end), "c": ("count", count), "m": ("members", tuple(members))}
    wish = {fields[letter][0]: fields[letter][1] for letter in chosen}
    given_ = set(wish) - ({"members"} if not members else set())
    valid = (
        (given_ == {"start", "end"} and end > start)
        or (given_ == {"start", "count"} and 1 <= count <= 5000)
        or (given_ == {"members"} and len(set(members)) == len(members))
    )
    try:
        found = Selection(**wish)
    except ValidationError:
        assert not valid
    else:
        assert valid
        assert Selection.model_validate_json(found.model_dump_json()) == found


def test_members_have_an_upper_number():
    names = [str(n) for n in range(5001)]
    assert len(Selection(members=tuple(names[:5000])).members) == 5000
    with pytest.raises(ValidationError, match="at most 5000"):
        Selection(members=tuple(names))


@FEW
@given(st.booleans(), st.integers(0, 99), st.sampled_from(["always", "unless-failed", "on-qa-pass", "manual"]))
def test_a_wish_means_the_same_however_it_is_run(suspend, replay, policy):
    wish = {"pipeline": "p", "observations": Selection(members=("m",))}
    other = GroupSpec(**wish, suspend=suspend, replay=replay, publish=PublishSpec(policy=policy, approve=suspend))
    assert other.digest == GroupSpec(**wish).digest


@pytest.mark.parametrize("include", ["images", "ms", "caltables"])
def test_what_is_published_is_part_of_the_wish(include):
    wish = {"pipeline": "p", "observations": Selection(members=("m",))}
    assert GroupSpec(**wish, publish=PublishSpec(include=(include,))).digest != GroupSpec(**wish).digest


@FEW
@given(st.integers(1, 1000), st.integers(0, 1100), st.integers(1, 1100))
def test_group_rules_are_consistent_or_refused(size, overlap, least):
    if overlap < size and least <= size:
        assert GroupRules(size=size, overlap=overlap, min_size=least).overlap == overlap
    else:
        with pytest.raises(ValidationError, match=r"must be smaller than size|must not be larger than size"):
            GroupRules(size=size, overlap=overlap, min_size=least)


@FEW
@given(st.integers(1, 99_999), st.sampled_from([("s", 1), ("min", 60), ("h", 3600)]), st.sampled_from(["", " "]))
def test_durations_may_carry_any_unit(number, unit, blank):
    text = f"{number}{blank}{unit[0]}"
    assert FileSetRules(deadline=text).deadline_s == pytest.approx(number * unit[1])
    assert GroupRules(maxSpan=text).max_span_min == pytest.approx(number * unit[1] / 60)


@pytest.mark.parametrize("text", ["infs", "inf h", "nans", "1e999s"])
def test_a_duration_is_a_finite_number(text):
    with pytest.raises(ValidationError, match=r"finite|greater than 0|less than or equal"):
        FileSetRules(deadline=text)


def _all_models(root):
    for child in root.__subclasses__():
        yield child
        yield from _all_models(child)


def test_every_model_of_the_contracts_is_closed_and_frozen():
    found = [model for model in _all_models(Model) if model.__module__.startswith("contimg.models.")]
    assert {Figure, Manifest, Survey, Selection} <= set(found)
    open_ones = {model.__name__ for model in found if model.model_config["extra"] != "forbid"}
    assert open_ones == {"Metadata", "StageInfo"}  # what an API server adds; what a run says beyond its promise
    assert all(model.model_config["frozen"] for model in found)
