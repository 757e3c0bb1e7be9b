"""Task ids: equal for equal wishes, different for different ones, the same in every release."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contimg.models.identity import canonical, digest, task_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def test_id_is_the_head_of_sha256_over_canonical_json():
    recipe = b'{"inputs":{"raw":"r"},"params":{"robust":0.5},"recipe_version":2,"stage":"image","unit":"2026-01-25"}'
    expected = hashlib.sha256(recipe).hexdigest()[:32]
    assert task_id("image", 2, "2026-01-25", {"robust": 0.5}, {"raw": "r"}) == expected


def test_canonical_json_sorts_by_utf16_and_writes_numbers_as_rfc_8785_does():
    assert canonical({"b": 1, "a": [True, None, 1e21, 1e-7, 0.1]}) == b'{"a":[true,null,1e+21,1e-7,0.1],"b":1}'


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (3, 3.0, True),
        (0.1 + 0.2, 0.3, True),
        (1.0000000000001, 1.0, True),
        (1.00000000001, 1.0, False),
        (-0.0, 0, True),
        ("3", 3, False),
        (True, 1, False),
        (None, False, False),
        ((1, 2), [1, 2], True),
        ([1, 2], [2, 1], False),
    ],
)
def test_values_that_mean_the_same_have_the_same_digest(left, right, same):
    assert (digest({"x": left}) == digest({"x": right})) is same


def test_empty_inputs_are_left_out_so_that_new_kinds_change_no_old_id():
    plain = task_id("mosaic", 1, "g", {}, {"tasks": {"image": ["a"]}})
    full = {"tasks": {"image": ["a"]}, "raw": "", "reference": {}, "options": {}, "members": (), "x": None}
    assert task_id("mosaic", 1, "g", {}, full) == plain


@pytest.mark.parametrize(
    "other",
    [
        ("apply", 1, "u", {"a": 1}, {"raw": "r"}),
        ("image", 2, "u", {"a": 1}, {"raw": "r"}),
        ("image", 1, "v", {"a": 1}, {"raw": "r"}),
        ("image", 1, "u", {"a": 2}, {"raw": "r"}),
        ("image", 1, "u", {"a": 1}, {"raw": "s"}),
    ],
)
def test_every_part_of_the_recipe_counts(other):
    assert task_id(*other) != task_id("image", 1, "u", {"a": 1}, {"raw": "r"})


@given(json_values)
def test_canonical_json_is_json_of_the_same_value(value):
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=5), st.randoms(use_true_random=False))
def test_order_of_keys_does_not_matter(value, order):
    items = list(value.items())
    order.shuffle(items)
    assert digest(dict(items)) == digest(value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_refused(bad):
    with pytest.raises(ValueError, match="not representable"):
        digest({"x": bad})
