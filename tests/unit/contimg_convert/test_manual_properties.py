"""The manual flag file: what is written is read, reversed ranges are refused, flags only grow."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadConfig
from contimg.radio.coordinates import jd
from contimg_convert.manual import ManualFlag, apply_manual, read_manual

T0 = datetime(2026, 1, 25, tzinfo=UTC)
FOREVER = (-np.inf, np.inf)

names = st.one_of(st.just("*"), st.integers(1, 117).map(str))
times = st.one_of(st.just("*"), st.tuples(st.integers(0, 86400), st.integers(0, 3600)))
channels = st.one_of(st.just("*"), st.tuples(st.integers(0, 767), st.integers(0, 100)))
reasons = st.text("abc xyz,/-*", min_size=1, max_size=12).map(str.strip).filter(lambda text: text.strip(", "))


def line_of(antenna, when, band, reason):
    """Write one line and what it means."""
    if when == "*":
        span, bounds = "*", FOREVER
    else:
        ends = [T0 + timedelta(seconds=when[0]), T0 + timedelta(seconds=when[0] + when[1])]
        span, bounds = "/".join(f"{end:%Y-%m-%dT%H:%M:%S}" for end in ends), tuple(jd(end) for end in ends)
    low, high = (0, 1 << 30) if band == "*" else (band[0], band[0] + band[1])
    spelt = "*" if band == "*" else str(low) if low == high else f"{low}-{high}"
    return f"{antenna}, {span}, {spelt}, {reason}", ManualFlag(antenna, *bounds, low, high, reason)


def read(text):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "2026-01-25.txt"
        path.write_text(text, encoding="utf-8")
        return read_manual(path)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(names, times, channels, reasons), max_size=6))
def test_what_is_written_is_read(items):
    made = [line_of(*item) for item in items]
    text = "# the night\n\n" + "\n".join(f"  {line}   # by hand" for line, _ in made) + "\n"
    assert read(text) == tuple(meaning for _, meaning in made)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(names, times, channels, reasons), max_size=4), st.randoms(use_true_random=False))
def test_flags_only_grow_and_their_order_does_not_matter(reference, items, order):
    flags = [line_of(*item)[1] for item in items]
    before = reference.flag.copy()
    try:
        apply_manual(reference, tuple(flags))
        once = reference.flag.copy()
        assert (once >= before).all()
        apply_manual(reference, tuple(flags))
        assert np.array_equal(reference.flag, once), "twice is once"
        reference.flag[:] = before
        order.shuffle(flags)
        apply_manual(reference, tuple(flags))
        assert np.array_equal(reference.flag, once)
    finally:
        reference.flag[:] = before


@pytest.mark.parametrize("name", ["*", "33"])
def test_all_channels_and_times_of_an_antenna(data, name):
    apply_manual(data, (ManualFlag(name, *FOREVER, 0, 1 << 30, "x"),))
    number = data.antennas.names.index("33")
    rows = np.ones(len(data.flag), bool) if name == "*" else (data.antenna1 == number) | (data.antenna2 == number)
    assert data.flag[rows].all()
    assert name == "*" or not data.flag[~rows].all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("33, *, 10-3, x", "channels '10-3' end before they start and would flag nothing; swap the numbers"),
        ("33, *, 10-, x", "channels '10-' are not N or FIRST-LAST"),
        ("33, *, -10, x", "channels '-10' are not N or FIRST-LAST"),
        ("33, *, ², x", "channels '²' are not N or FIRST-LAST"),
        ("33, *, 1-2-3, x", "channels '1-2-3' are not N or FIRST-LAST"),
        ("33, 2026-01-25T22:00:00/2026-01-25T21:00:00, *, x", "ends before it starts and would flag nothing"),
        ("33, 2026-01-25T22:00:00, *, x", "is not START/END in ISO 8601"),
        ("33, a/b/c, *, x", "is not START/END in ISO 8601"),
        ("33, , *, x", "needs the four fields"),
        ("33", "needs the four fields"),
    ],
)
def test_a_line_that_would_do_something_else_is_refused(line, words):
    with pytest.raises(BadConfig) as caught:
        read(f"{line}\n")
    assert "2026-01-25.txt, line 1: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(("text", "first", "last"), [("7", 7, 7), ("0-0", 0, 0), ("3 - 9", 3, 9), ("007-010", 7, 10)])
def test_spellings_of_channels(text, first, last):
    (flag,) = read(f"1, *, {text}, x\n")
    assert (flag.first_channel, flag.last_channel) == (first, last)


def test_times_without_a_zone_are_utc_and_others_are_turned():
    (plain, zoned) = read(
        "1, 2026-01-25T22:00:00/2026-01-25T23:00:00, *, x\n"
        "1, 2026-01-25T14:00:00-08:00/2026-01-25T15:00:00-08:00, *, x\n"
    )
    assert (plain.start_jd, plain.end_jd) == (zoned.start_jd, zoned.end_jd)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "   # nothing"])
def test_a_file_without_flags_flags_nothing(text):
    assert read(text) == ()
