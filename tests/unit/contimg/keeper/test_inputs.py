from __future__ import annotations

import pytest

from contimg.errors import BadInput, Damaged
from contimg.keeper.inputs import load_inputs, store_inputs


def test_inputs_are_found_by_their_digest_whatever_the_order_of_types(layout):
    one = store_inputs(layout, {"image": ["a", "b"], "group": ["c"]})
    assert store_inputs(layout, {"group": ["c"], "image": ["a", "b"]}) == one
    assert load_inputs(layout, one) == {"image": ["a", "b"], "group": ["c"]}


def test_the_order_of_tasks_matters(layout):
    assert store_inputs(layout, {"image": ["a", "b"]}) != store_inputs(layout, {"image": ["b", "a"]})


def test_unknown_and_damaged_inputs_are_named(layout):
    with pytest.raises(BadInput, match="ask for the task again"):
        load_inputs(layout, "0" * 64)
    digest = store_inputs(layout, {"image": ["a"]})
    path = layout.state / "inputs" / f"{digest}.json"
    for content in ("{", '{"image": ["b"]}'):
        path.write_text(content)
        with pytest.raises(Damaged, match=rf"{digest}.json does not match its name; remove it"):
            load_inputs(layout, digest)
