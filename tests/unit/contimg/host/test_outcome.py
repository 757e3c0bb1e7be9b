"""What came of a run: exactly the runs a group stands on, none of an older wish."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from keeper_site import T0, Site

from contimg.engine.advance import Decision
from contimg.host.outcome import figures_of, outcome_of
from contimg.keeper.keeper import Keeper
from contimg.models.fact import RunFact
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.quality import Verdict, judge
from contimg.models.reason import Phase
from contimg.volume.layout import Layout

STATUS = GroupStatus(observed_generation=1, phase="Published", verdict=Verdict.PASS)


@pytest.fixture
def site(tmp_path):
    return Site(Layout(tmp_path / "stage", tmp_path / "data"))


def group(**spec):
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T22:00:00Z", "count": 1}} | spec
    return ObservationGroup.model_validate({"metadata": {"name": "g"}, "spec": wish})


def published(site, keeper, wish, *, version="a", store=""):
    convert = site.commit("convert", "2026-01-25T22:00:00", version=version)
    mosaic = site.commit("mosaic", "g", version=version, inputs=[convert], info={"method": version})
    task, home = site.publish([convert, mosaic], version=version)
    site.archive(task)
    record = site.group(task, wish.spec.digest).model_copy(update={"object_store": store})
    keeper.register_group(record)
    for run in (convert, mosaic, (task, home)):
        keeper.register_run(*run)
    return convert[0], mosaic[0], task


def test_products_figures_and_timings_of_what_the_group_stands_on(site):
    wish = group()
    with Keeper(site.layout) as keeper:
        published(site, keeper, wish)
        found = outcome_of(wish.name, Decision((), STATUS), keeper, started=3, seconds=12.5)
    assert found.stages_run == 3
    assert found.timings["total"] == 12.5
    assert found.timings["image"] == 0
    assert set(found.figures) == {"convert.rms@2026-01-25T22:00:00", "mosaic.rms", "publish.rms"}
    assert found.info["mosaic"] == {"method": "a"}
    assert "convert" not in found.info
    (mosaic,) = (p for p in found.products if p["type"] == "mosaic")
    assert mosaic["path"].endswith("products/mosaics/2026-01-25/mosaic_g.fits")
    assert len(mosaic["sha256"]) == 64


def test_keys_are_given_only_when_there_is_an_object_store(site):
    wish = group()
    with Keeper(site.layout) as keeper:
        published(site, keeper, wish)
        assert {p["s3"] for p in outcome_of(wish.name, Decision((), STATUS), keeper, 0, 0.0).products} == {""}
        published(site, keeper, wish, version="b", store="http://localhost:1/b")
        keys = {p["s3"] for p in outcome_of(wish.name, Decision((), STATUS), keeper, 0, 0.0).products}
    assert keys
    assert "" not in keys


def test_an_edited_wish_does_not_show_the_old_ones_figures(site):
    """The record on disk is of the old wish; what the engine wants now counts."""
    waiting = STATUS.model_copy(update={"phase": Phase.RUNNING})
    with Keeper(site.layout) as keeper:
        published(site, keeper, group())
        fresh = site.commit("convert", "2026-01-25T22:00:00", version="new")
        keeper.register_run(*fresh)
        found = outcome_of("g", Decision((), waiting, wanted=(fresh[0],)), keeper, 1, 1.0)
    assert set(found.figures) == {"convert.rms@2026-01-25T22:00:00"}
    assert found.products == []


def test_a_group_of_nothing_has_an_outcome_too(site):
    with Keeper(site.layout) as keeper:
        found = outcome_of("g", Decision((), STATUS), keeper, 0, 0.1)
    assert (found.products, found.figures, found.info) == ([], {}, {})
    assert found.timings["total"] == 0.1


def test_figures_survive_the_cleaning_of_staging(site):
    wish = group()
    with Keeper(site.layout) as keeper:
        convert, *_ = published(site, keeper, wish)
        before = outcome_of(wish.name, Decision((), STATUS), keeper, 0, 0.0).figures
        later = datetime(2030, 1, 1, tzinfo=UTC)
        keeper.wanted([], later)
        assert convert in keeper.clean(later).released
        assert outcome_of(wish.name, Decision((), STATUS), keeper, 0, 0.0).figures == before


def test_members_are_kept_apart_and_names_stay():
    def fact(stage, unit, value):
        figure = judge(f"{stage}.rms", value, "Jy", degraded_above=1.0)
        return RunFact(
            task="0" * 32, stage=stage, unit=unit, home="image", present=True, verdict=Verdict.PASS,
            figures=(figure,), finished=T0,
        )  # fmt: skip

    found = figures_of([fact("image", "o1", 0.5), fact("image", "o2", 2.0), fact("mosaic", "g", 0.1)])
    assert set(found) == {"image.rms@o1", "image.rms@o2", "mosaic.rms"}
    assert found["image.rms@o2"] == {"value": 2.0, "unit": "Jy", "limit": "degraded > 1", "verdict": "degraded"}
