"""What must hold for any set of subband files, in whatever order and under whatever names they arrive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvh5 import channel_hz

from contimg.models.observation import ObservationState
from contimg_ingest import digest
from contimg_ingest.cluster import cluster, inspect
from contimg_ingest.policy import IngestPolicy, Reason
from contimg_ingest.records import Maker
from contimg_ingest.uvh5 import Header, name_stamp, subband_of

NOW = datetime(2026, 1, 26, tzinfo=UTC)
TRUE = datetime(2026, 1, 25, 22, 26, 5, tzinfo=UTC)
POLICY = IngestPolicy()
JD = 2461066.435
INTEGRATION_S = 12.884902


def head(subband, *, early_s=0.0, number=0, **changes):
    """Return the header of one file of the ``number``-th recording, its name ``early_s`` before the data."""
    stamp = TRUE + timedelta(seconds=309 * number - early_s)
    first = JD + number * 309.2376 / 86400
    values = {
        "path": Path(f"{stamp:%Y-%m-%dT%H:%M:%S}_sb{subband:02d}.hdf5"),
        "telescope": "OVRO_MMA",
        "subband": subband,
        "first_jd": first,
        "last_jd": first + 23 * INTEGRATION_S / 86400,
        "integration_s": INTEGRATION_S,
        "integrations": 24,
        "rows": 24,
        "app_dec_deg": 16.15,
        "freq_hz": float(channel_hz(subband, 48)[0]),
        "step_hz": -244140.625,
        "channels": 48,
    }
    return Header(**(values | changes))


def content(path):
    return f"100 {path.name}"


def record_of(heads):
    (one,) = cluster(heads)
    found = inspect(one, POLICY, content)
    return Maker(Path(), NOW, 16, content).of_set(found, ObservationState.SEALED, tuple(found.warnings))


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(16)), early=st.lists(st.floats(0, 119), min_size=16, max_size=16))
def test_the_record_does_not_depend_on_the_order_of_arrival(order, early):
    heads = [head(s, early_s=e) for s, e in enumerate(early)]
    record = record_of([heads[n] for n in order])
    assert record == record_of(heads)
    assert [file.role for file in record.files] == [f"sb{s:02d}" for s in range(16)]


@settings(max_examples=40, deadline=None)
@given(
    order=st.randoms(use_true_random=False),
    early=st.lists(st.floats(0, 119.0), min_size=48, max_size=48),
    count=st.integers(1, 3),
)
def test_names_that_jitter_less_than_two_minutes_change_no_set_and_warn_of_nothing(order, early, count):
    heads = [head(s, number=n, early_s=early[16 * n + s]) for n in range(count) for s in range(16)]
    order.shuffle(heads)
    sets = cluster(heads)
    assert [len(each) for each in sets] == [16] * count
    for each in sets:
        found = inspect(each, POLICY, content)
        assert sorted(found.files) == list(range(16))
        assert not found.refused
        assert found.warnings == []


@settings(max_examples=40, deadline=None)
@given(st.integers(121, 5000), st.integers(0, 15))
def test_names_further_apart_are_used_with_a_warning_that_tells_how_far(seconds, odd):
    heads = [head(s, early_s=seconds if s == odd else 0) for s in range(16)]
    found = inspect(heads, POLICY, content)
    assert len(found.files) == 16
    assert found.warnings == [
        f"the names of this file set differ by {seconds} s (limit 120 s); its data times agree, so it is used"
    ]


@pytest.mark.parametrize(("share", "sets"), [(0.0, 1), (0.49, 1), (0.51, 2), (1.0, 2)])
def test_half_an_integration_is_the_limit_of_one_set(share, sets):
    late = head(1, first_jd=JD + share * INTEGRATION_S / 86400)
    assert len(cluster([head(0), late])) == sets


@settings(max_examples=60, deadline=None)
@given(present=st.sets(st.integers(0, 15), min_size=1))
def test_what_is_missing_and_what_is_there_make_the_whole(present):
    found = inspect([head(s) for s in present], POLICY, content)
    assert set(found.missing(16)) | set(found.files) == set(range(16))
    assert not set(found.missing(16)) & set(found.files)
    assert found.missing(16) == sorted(found.missing(16))


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 15), min_size=1, max_size=7), st.floats(0.02, 30))
def test_a_minority_at_another_declination_is_refused_and_nobody_else(odd, offset):
    heads = [head(s, app_dec_deg=16.15 + offset * (s in odd)) for s in range(16)]
    found = inspect(heads, POLICY, content)
    assert {subband_of(path.name) for path in found.refused} == odd
    assert {error.reason for error in found.refused.values()} == {Reason.MIXED_DEC}
    assert set(found.files) == set(range(16)) - odd


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.004, 0.004))
def test_declinations_within_the_tolerance_are_one_pointing(offset):
    heads = [head(s, app_dec_deg=16.15 + offset * (s % 2)) for s in range(16)]
    assert not inspect(heads, POLICY, content).refused


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(18)), st.integers(0, 15))
def test_copies_are_used_once_whatever_came_first(order, twice):
    heads = [head(s) for s in range(16)]
    heads += [replace(heads[twice], path=Path(f"copy{n}_sb{twice:02d}.hdf5")) for n in range(2)]
    (one,) = cluster([heads[n] for n in order])
    found = inspect(one, POLICY, lambda _path: "100 same")
    assert len(found.files) == 16
    assert found.files[twice].path == min((h.path for h in heads if h.subband == twice), key=str)
    assert [error.reason for error in found.refused.values()] == [Reason.IDENTICAL_DUPLICATE] * 2
    assert all("is a copy of" in str(error) and "may be removed" in str(error) for error in found.refused.values())


def test_content_is_read_for_duplicates_alone():
    def forbidden(path):
        raise AssertionError(path)

    assert len(inspect([head(s) for s in range(16)], POLICY, forbidden).files) == 16


@settings(max_examples=60, deadline=None)
@given(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)), st.integers(0, 99))  # noqa: DTZ001 - local to the name
def test_names_are_read_back(when, subband):
    name = f"{when:%Y-%m-%dT%H:%M:%S}_sb{subband:02d}.hdf5"
    assert subband_of(name) == subband
    assert name_stamp(name) == when.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["2026-13-25T22:26:05_sb00.hdf5", "2026-02-30T22:26:05_sb00.hdf5", "sb00.hdf5"])
def test_a_name_without_a_true_time_has_no_stamp(name):
    assert name_stamp(name) is None


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=2, max_size=5, unique=True))
def test_the_digest_of_a_set_follows_order_and_members(digests):
    whole = digest.of_set(digests)
    assert whole == digest.of_set(tuple(digests))
    assert whole != digest.of_set(digests[::-1])
    assert whole != digest.of_set(digests[:-1])
