"""Parameters of stages: complete, plain, and refused in words."""

from __future__ import annotations

from enum import StrEnum

import pytest
from pydantic import Field

from contimg.errors import BadConfig
from contimg.models.fact import OfferKey
from contimg.models.spec import (
    DataType,
    Reference,
    Scope,
    StageInfo,
    StageParams,
    StageSpec,
    data_types,
    effective,
    load,
    nearest,
    references,
    spec_of,
    specs,
    watchers,
)


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
    makes=(DataType(name="picture", home="pictures"), DataType(name="note", home="products/notes")),
    runner="toy.stage:Toy",
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
        assert effective(spec, {}) or spec.scope is Scope.WATCHER
        assert bool(spec.home) is (spec.scope is not Scope.WATCHER)
    with pytest.raises(BadConfig, match="stage 'imag' is not installed"):
        spec_of("imag")


def test_data_types_belong_to_their_stage_and_the_first_is_the_home():
    assert (SPEC.home, SPEC.workspace) == ("picture", "picture")
    assert {item.stage for item in SPEC.makes} == {"toy"}
    found = data_types()
    assert {item.stage for item in found.values()} == {name for name in specs() if name not in watchers()}
    assert all(found[spec.home].stage == spec.name for spec in specs().values() if spec.makes)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"makes": ()}, "makes no data type"),
        ({"scope": "partition"}, "no decide that names the keys"),
        ({"runner": "toy.stage"}, "String should match pattern"),
        ({"name": "Toy"}, "String should match pattern"),
        ({"time_limit_s": 0}, "greater than 0"),
    ],
)
def test_a_spec_that_cannot_work_is_refused(given, sentence):
    whole = {name: getattr(SPEC, name) for name in StageSpec.model_fields}
    with pytest.raises(ValueError, match=sentence):
        StageSpec(**(whole | given))


def test_two_stages_cannot_make_one_type_or_describe_one_reference_differently(monkeypatch):
    for cached in (data_types, references):
        cached.cache_clear()
    one = SPEC.model_copy(update={"reference": (Reference(kind="r", directory="config/r"),)})
    second = StageSpec(name="second", **{key: getattr(one, key) for key in ("scope", "params", "runner", "makes")})
    other = one.model_copy(update={"reference": (Reference(kind="r", directory="config/s"),), "makes": ()})
    monkeypatch.setattr("contimg.models.spec.specs", lambda: {"toy": one, "second": second, "other": other})
    with pytest.raises(BadConfig, match="data type 'picture' is made by stage 'toy' and by 'second'"):
        data_types()
    with pytest.raises(BadConfig, match="reference data 'r' is described in two ways"):
        references()
    monkeypatch.undo()


def test_homes_do_not_lie_in_each_other():
    homes = [item.home for item in data_types().values()]
    assert len(set(homes)) == len(homes)
    assert not [(a, b) for a in homes for b in homes if a != b and b.startswith(f"{a}/")]


def test_what_a_run_says_beyond_its_declaration_is_kept_and_what_is_declared_is_checked():
    class Info(StageInfo):
        """Toy."""

        beam: float

    assert Info.model_validate({"beam": 1, "more": "words"}).offer() is None
    with pytest.raises(ValueError, match="beam"):
        Info.model_validate({"more": "words"})
    assert OfferKey(key="a", at="2026-01-25T00:00:00Z").valid_s == 0
