"""The keeper's lock: one keeper, and whoever only looks is in nobody's way."""

from __future__ import annotations

import fcntl

import pytest

from contimg.errors import Unavailable
from contimg.keeper import lock
from contimg.keeper.lock import holder, take_lock
from contimg.volume.layout import Layout


@pytest.fixture
def layout(tmp_path):
    found = Layout(tmp_path / "s", tmp_path / "d")
    found.state.mkdir(parents=True)
    return found


def test_one_keeper_holds_it_and_says_who_it_is(layout):
    assert holder(layout) == ""
    with take_lock(layout):
        assert holder(layout).startswith("pid ")
        with pytest.raises(Unavailable, match=r"keeper.lock is held by pid \d+ on .*: one keeper serves a state"):
            take_lock(layout)
    take_lock(layout).close()


def test_a_look_at_the_same_moment_refuses_no_keeper(layout, monkeypatch):
    looks = (layout.state / "keeper.lock").open("w")
    fcntl.flock(looks, fcntl.LOCK_SH)
    monkeypatch.setattr(lock.time, "sleep", lambda _seconds: looks.close())
    take_lock(layout).close()
