"""The shipped pipelines agree with the installed stages."""

from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.models.instrument import pipeline, pipelines
from contimg.models.spec import Scope, data_types, effective, specs

ORDER = ["ingest", "convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish"]


@pytest.fixture(params=["dsa110-continuum", "vla-continuum"])
def shipped(request):
    return pipeline(request.param)


ABLE = {
    name: spec
    for name, spec in specs().items()
    if spec.runner.startswith("contimg_") and spec.scope is not Scope.WATCHER
}
"""The stages of this distribution; others may be installed beside them."""


def test_there_are_the_two_of_the_design():
    assert set(pipelines()) >= {"dsa110-continuum", "vla-continuum"}


def test_stages_stand_in_the_order_of_the_design(shipped):
    assert [item.stage for item in shipped.stages] == ORDER


def test_every_stage_but_the_watcher_is_installed(shipped):
    assert {item.stage for item in shipped.stages} - {"ingest"} <= set(ABLE)


def test_parameters_are_valid_and_differ_from_the_defaults(shipped):
    """A value equal to its default would only look like a choice."""
    for item in shipped.stages:
        if item.stage in ABLE:
            plain = effective(specs()[item.stage], {})
            given = effective(specs()[item.stage], item.params)
            assert {name for name in given if given[name] != plain[name]} == set(item.params), item.stage


def test_a_stage_reads_only_what_was_made_before(shipped):
    seen = set()
    for item in shipped.stages:
        assert set(item.reads) <= seen, item.stage
        seen.add(item.stage)


def test_all_that_is_made_is_read_by_publish(shipped):
    assert set(shipped.stages[-1].reads) == set(ORDER) - {"ingest", "publish"}
    assert {row.stage for row in data_types().values()} >= set(ABLE)


def test_optional_is_what_may_be_left_out(shipped):
    assert [item.stage for item in shipped.stages if item.optional] == ["crossmatch"]
    assert all(specs()[item.stage].optional for item in shipped.stages if item.optional)


def test_the_instrument_is_known(shipped):
    assert telescope(shipped.instrument).key == shipped.instrument


def test_an_unknown_pipeline_offers_the_nearest_and_lists_all():
    with pytest.raises(
        BadConfig, match=r"'vla-continium' is unknown; did you mean 'vla-continuum'\?; known are comap-galactic"
    ):
        pipeline("vla-continium")
    with pytest.raises(BadConfig, match="'nowhere' is unknown; known are"):
        pipeline("nowhere")
