"""A short soak in CI: random kills of worker, child, keeper and nats-server. The long one is ``tests/soak``."""

from __future__ import annotations

import os

import pytest

from soak import Soak


@pytest.mark.parametrize("seed", [1])
async def test_random_kills_lose_nothing_and_double_nothing(tmp_path, monkeypatch, seed):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests/support", "shared", "services"]))
    soak = Soak(tmp_path, kills=12, seed=seed)
    await soak.run()
    soak.check()
    assert sum(soak.killed.values()) == 12
