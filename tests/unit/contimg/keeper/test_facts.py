from __future__ import annotations

import fcntl
import os
import time
from datetime import timedelta

import pytest
from keeper_site import T0

from contimg.keeper.facts import lock_is_live, window


@pytest.fixture
def records(site):
    return [site.observation(minutes) for minutes in (10, 0, 20, 5)]


@pytest.mark.parametrize(
    ("start", "end", "minutes"),
    [
        (None, None, [0, 5, 10, 20]),
        (5, None, [5, 10, 20]),
        (None, 5, [0, 5]),
        (5, 11, [5, 10, 20]),
        (5, 10, [5, 10]),
        (21, 30, []),
        (None, 60, [0, 5, 10, 20]),
    ],
)
def test_a_window_ends_with_the_first_observation_at_or_after_its_end(records, start, end, minutes):
    bounds = [None if m is None else (T0 + timedelta(minutes=m)).timestamp() for m in (start, end)]
    assert [(r.start - T0) / timedelta(minutes=1) for r in window(records, *bounds)] == minutes


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
