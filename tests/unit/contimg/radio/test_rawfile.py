from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contimg.errors import BadInput
from contimg.radio.rawfile import bounded, check_file


def test_numbers_within_both_bounds_come_back():
    values = [[1, 2], [3, 4]]
    assert np.array_equal(bounded(Path("x"), "f", values, 1, 4, "m"), np.array(values, float))


@pytest.mark.parametrize("value", [0.999, 4.001, np.nan, np.inf, -np.inf])
def test_first_number_outside_is_named(value):
    with pytest.raises(BadInput, match=rf"^x: f holds {value:.12g} m, not 1 to 4; write the file again$") as caught:
        bounded(Path("x"), "f", [2, value, 9], 1, 4, "m")
    assert caught.value.reason == "out-of-bounds"


def test_empty_file_is_named(tmp_path):
    (tmp_path / "x").touch()
    with pytest.raises(BadInput, match="has 0 bytes") as caught:
        check_file(tmp_path / "x")
    assert caught.value.reason == "empty"


def test_vanished_file_is_no_fault_of_the_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        check_file(tmp_path / "x")


def test_directory_is_no_file(tmp_path):
    with pytest.raises(BadInput, match="no regular file"):
        check_file(tmp_path)
