"""Parameters of stages: complete, plain, and refused in words."""

from __future__ import annotations

from enum import StrEnum

import pytest
from pydantic import Field

from contimg.errors import BadConfig
from contimg.models.spec import Scope, StageParams, StageSpec, effective, load, nearest, spec_of, specs


class Mode(StrEnum):
    """A choice."""

    FAST = "fast"
    GOOD = "good"


class Params(StageParams):
    """Toy."""

    cell_arcsec: float = Field(3.0, gt=0)
    """Cell."""
    mode: Mode = Mode.FAST
    """Choice."""
    names: tuple[str, ...] = ("a",)
    """Names."""


SPEC = StageSpec(
    name="toy",
    scope=Scope.OBSERVATION,
    recipe_version=1,
    params=Params,
    home="image",
    runner="toy.stage:Toy",
    workspace="toy",
)


def test_effective_parameters_are_complete_and_plain_json():
    assert effective(SPEC, {}) == {"cell_arcsec": 3.0, "mode": "fast", "names": ["a"]}
    assert effective(SPEC, {"mode": "good", "cell_arcsec": 6}) == {"cell_arcsec": 6.0, "mode": "good", "names": ["a"]}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"cell_arcsecs": 3}, "stage 'toy' has no parameter 'cell_arcsecs'; did you mean 'cell_arcsec'"),
        ({"zebra": 3}, "stage 'toy' has no parameter 'zebra'$"),
        ({"cell_arcsec": -1}, "stage 'toy', parameter 'cell_arcsec' = -1: Input should be greater than 0"),
        ({"mode": "quick"}, "parameter 'mode' = 'quick': Input should be 'fast' or 'good'"),
        ({"names": ["a", 1]}, "parameter 'names.1' = 1"),
    ],
)
def test_mistakes_name_stage_parameter_value_and_cure(given, sentence):
    with pytest.raises(BadConfig, match=sentence):
        effective(SPEC, given)


def test_defaults_are_validated_too():
    class Wrong(StageParams):
        """Toy."""

        size: int = Field(0, gt=0)
        """Size."""

    with pytest.raises(BadConfig, match="parameter 'size' = 0"):
        effective(SPEC.model_copy(update={"params": Wrong}), {})


def test_nearest_offers_only_what_is_near():
    assert nearest("imag", ["image", "mosaic"]) == "; did you mean 'image'?"
    assert nearest("xyz", ["image", "mosaic"]) == ""


def test_load_imports_by_path():
    assert load("contimg.models.spec:Scope") is Scope


def test_installed_stages_say_what_they_are():
    found = specs()
    assert list(found) == sorted(found)
    for name, spec in found.items():
        assert spec.name == name
        assert effective(spec, {})
        assert spec.home
    with pytest.raises(BadConfig, match="stage 'imag' is not installed"):
        spec_of("imag")
