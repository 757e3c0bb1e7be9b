"""``./run soak``: the demonstration by separate processes under two hundred random kills gives the same bytes."""

from __future__ import annotations

import random
import shutil
import time

import pytest
from commands import contimg
from processes import Shard, differing, published

from contimg.cli.demo import lay_out
from contimg.volume.layout import Layout

pytestmark = pytest.mark.slow

KILLS = 200
TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "10", "CONTIMG_LIMIT_FROZEN_AFTER_S": "60"}
TIMES |= {"CONTIMG_LIMIT_LOST_CAP": "1000"}
GROUP = "ngc5921"


def stormed(directory, dice: random.Random) -> tuple[Layout, int]:
    """Publish the group while processes are killed every few seconds; return where, and how many were."""
    layout = lay_out(directory / "demo")
    orders = layout.state / "config" / "groups"
    orders.mkdir(parents=True)
    shutil.copy(directory / "demo" / f"{GROUP}.yaml", orders)
    end = time.monotonic() + 1800
    with Shard(layout, directory / "logs", **TIMES) as shard:
        while not published(layout, GROUP):
            assert time.monotonic() < end, "no group was published within half an hour"
            time.sleep(dice.uniform(0.5, 6.0))
            shard.kill(dice.choice(list(shard.kills)))
    return layout, sum(shard.kills.values())


def test_two_hundred_kills_change_no_byte(tmp_path, capsys):
    dice, killed, shards = random.Random(20260125), 0, 0  # noqa: S311 - which to kill
    finished = contimg("demo", "--dir", tmp_path / "alone")
    assert finished.code == 0, finished.err[-3000:]
    alone = Layout(tmp_path / "alone" / "stage", tmp_path / "alone" / "data")
    while killed < KILLS:
        shards += 1
        layout, kills = stormed(tmp_path / f"shard-{shards}", dice)
        killed += kills
        assert differing(layout, alone) == {}
    with capsys.disabled():
        print(f"\nkilled {killed} processes while {shards} groups were published: the bytes of the run in one process")
