"""What must hold for any set of subband files, in whatever order and under whatever names they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvh5 import channel_hz

from contimg.instruments.dsa110.filesets import cluster, file_set
from contimg.instruments.dsa110.instrument import INSTRUMENT
from contimg.models.instrument import Piece
from contimg.radio.coordinates import isot, utc
from contimg.radio.uvh5.read import Header, name_stamp, subband_of

TRUE = datetime(2026, 1, 25, 22, 26, 5, tzinfo=UTC)
JD = 2461066.435
INTEGRATION_S = 12.884902


def head(subband, *, early_s=0.0, number=0, app_dec_deg=16.15, **changes):
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
        "app_dec_rad": np.radians(app_dec_deg),
        "rows": 24,
        "freq_hz": float(channel_hz(subband, 48)[0]),
        "channels": 48,
    }
    found = Header(**(values | changes))
    return Piece(found.path, found.role, isot(found.start_jd), utc(found.start_jd), found)


def inspect(pieces):
    return file_set(pieces, 16, 16)


def description_of(pieces):
    (one,) = cluster(pieces)
    return INSTRUMENT.describe(inspect(one))


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(16)), early=st.lists(st.floats(0, 119), min_size=16, max_size=16))
def test_the_description_does_not_depend_on_the_order_of_arrival(order, early):
    heads = [head(s, early_s=e) for s, e in enumerate(early)]
    shuffled = [heads[n] for n in order]
    assert description_of(shuffled) == description_of(heads)
    assert [piece.role for piece in inspect(shuffled).pieces] == [f"sb{s:02d}" for s in range(16)]


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
        found = inspect(each)
        assert [piece.header.subband for piece in found.pieces] == list(range(16))
        assert not found.refused
        assert found.warnings == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(121, 5000), st.integers(0, 15))
def test_names_further_apart_are_used_with_a_warning_that_tells_how_far(seconds, odd):
    heads = [head(s, early_s=seconds if s == odd else 0) for s in range(16)]
    found = inspect(heads)
    assert len(found.pieces) == 16
    assert found.warnings == (
        f"the names of this file set differ by {seconds} s (limit 120 s); its data times agree, so it is used",
    )


@pytest.mark.parametrize(("share", "sets"), [(0.0, 1), (0.49, 1), (0.51, 2), (1.0, 2)])
def test_half_an_integration_is_the_limit_of_one_set(share, sets):
    late = head(1, first_jd=JD + share * INTEGRATION_S / 86400)
    assert len(cluster([head(0), late])) == sets


@settings(max_examples=60, deadline=None)
@given(present=st.sets(st.integers(0, 15), min_size=1))
def test_what_is_missing_and_what_is_there_make_the_whole(present):
    found = inspect([head(s) for s in present])
    there = {piece.role for piece in found.pieces}
    assert set(found.missing) | there == set(found.expected)
    assert not set(found.missing) & there
    assert list(found.missing) == sorted(found.missing)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 15), min_size=1, max_size=7), st.floats(0.02, 30))
def test_a_minority_at_another_declination_is_refused_and_nobody_else(odd, offset):
    heads = [head(s, app_dec_deg=16.15 + offset * (s in odd)) for s in range(16)]
    found = inspect(heads)
    assert {subband_of(path.name) for path in found.refused} == odd
    assert {error.reason for error in found.refused.values()} == {"mixed-dec"}
    assert {piece.header.subband for piece in found.pieces} == set(range(16)) - odd


@settings(max_examples=30, deadline=None)
@given(st.floats(-0.004, 0.004))
def test_declinations_within_the_tolerance_are_one_pointing(offset):
    heads = [head(s, app_dec_deg=16.15 + offset * (s % 2)) for s in range(16)]
    assert not inspect(heads).refused


@settings(max_examples=60, deadline=None)
@given(st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1)), st.integers(0, 99))  # noqa: DTZ001 - local to the name
def test_names_are_read_back(when, subband):
    name = f"{when:%Y-%m-%dT%H:%M:%S}_sb{subband:02d}.hdf5"
    assert subband_of(name) == subband
    assert name_stamp(name) == when.replace(microsecond=0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["2026-13-25T22:26:05_sb00.hdf5", "2026-02-30T22:26:05_sb00.hdf5", "sb00.hdf5"])
def test_a_name_without_a_true_time_has_no_stamp(name):
    assert name_stamp(name) is None
