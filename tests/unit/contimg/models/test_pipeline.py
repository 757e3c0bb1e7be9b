"""Pipelines: order, reads, and the ones that ship."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contimg.errors import BadConfig
from contimg.models.instrument import pipeline, pipelines
from contimg.models.pipeline import Pipeline, Units


def make(*stages):
    spec = {"title": "P", "instrument": "dsa110", "stages": list(stages)}
    return Pipeline.model_validate({"metadata": {"name": "p"}, "spec": spec})


def test_a_stage_may_read_what_stands_before_it():
    found = make({"stage": "convert"}, {"stage": "image", "reads": ["convert"]})
    assert found.stage("image").reads == ("convert",)
    assert found.stage("mosaic") is None


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        ([{"stage": "image", "reads": ["convert"]}, {"stage": "convert"}], "'image' reads 'convert', which does not"),
        ([{"stage": "image", "reads": ["image"]}], "'image' reads 'image'"),
        ([{"stage": "image"}, {"stage": "image"}], "'image' stands twice"),
        ([{"stage": "image", "scope": "group"}], "Extra inputs"),
    ],
)
def test_order_and_names_are_checked(stages, sentence):
    with pytest.raises(ValidationError, match=sentence):
        make(*stages)


@pytest.mark.parametrize("name", ["dsa110-continuum", "vla-continuum"])
def test_shipped_pipelines_have_the_nine_stages_in_the_order_of_the_design(name):
    found = pipeline(name)
    order = ["ingest", "convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish"]
    assert [item.stage for item in found.stages] == order
    assert found.stage("convert").units is Units.ALL
    assert found.stage("crossmatch").optional
    assert [item.stage for item in found.stages if item.optional] == ["crossmatch"]
    assert found.name == name


def test_an_unknown_pipeline_is_told_with_the_nearest():
    with pytest.raises(BadConfig, match="did you mean 'dsa110-continuum'"):
        pipeline("dsa110-continum")
    assert set(pipelines()) >= {"dsa110-continuum", "vla-continuum"}
