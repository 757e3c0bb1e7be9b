"""``./run soak``: two hundred random kills on a stream of small tasks."""

from __future__ import annotations

import os

import pytest

from soak import Soak

pytestmark = pytest.mark.slow


async def test_two_hundred_kills(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests/support", "shared", "services"]))
    soak = Soak(tmp_path, kills=200, seed=20260125)
    await soak.run()
    soak.check()
    assert len(soak.tasks) > 20, "kills fell into work, and work went on"
    with capsys.disabled():
        print(f"\nkilled {dict(soak.killed)}; {len(soak.tasks)} tasks, {sum(soak.rounds.values())} replays")
