from __future__ import annotations

from datetime import timedelta

import pytest
from keeper_site import T0
from sqlalchemy import select

from contimg.keeper import Keeper
from contimg.keeper.rows import home_of, table_fact
from contimg.keeper.tables import caltables
from contimg.volume.layout import DATA_TYPES

OWN = {"mode": "own", "calibrator": "3C48", "transit": "2026-01-25T22:27:10", "dec_deg": 33.16}


def test_every_stage_has_one_home():
    assert {home_of(row.stage): row.name for row in DATA_TYPES.values()} == {name: name for name in DATA_TYPES}
    assert home_of("a stage of the future") == "metadata"


@pytest.mark.parametrize(
    ("info", "offered"),
    [
        (OWN, True),
        (OWN | {"mode": "nearest"}, False),  # a copy: the table it came from is offered
        (OWN | {"mode": "borrowed"}, False),
        ({"mode": "scans", "calibrator": "1331+305"}, False),  # of a pointed array
        (OWN | {"transit": None}, False),
        ({}, False),
    ],
)
def test_only_a_bandpass_solved_here_is_offered_to_others(site, layout, info, offered):
    task, home = site.commit("solve", "g", name="g_bpcal", info=info)
    fact = table_fact(site.run(task, home).manifest, present=True)
    assert (fact is not None) is offered
    if fact is not None:
        assert fact.transit == T0 + timedelta(minutes=27, seconds=10)
        assert fact.dec_deg == 33.16


def test_the_registry_of_calibrations_holds_the_window_of_validity(site, layout):
    with Keeper(layout) as keeper:
        keeper.register_run(*site.commit("solve", "g", name="g_bpcal", info=OWN))
        (row,) = keeper.index.rows("cal_registry", select(caltables))
    assert row["table_type"] == "bpcal"
    assert row["group_id"] == "g"
    assert row["valid_start"] == "2026-01-24T22:27:10+00:00"
    assert row["valid_end"] == "2026-01-26T22:27:10+00:00"
