from __future__ import annotations

import numpy as np
import pytest

from contimg.errors import BadConfig
from contimg_image.channels import SMEARING_LOSS, average_width, channel_bins, selected_channels


def test_empty_selection_is_every_channel():
    assert selected_channels("", 5) == [range(5)]


def test_ranges_include_both_ends_and_are_sorted():
    assert selected_channels("50~59; 4~6;8", 63) == [range(4, 7), range(8, 9), range(50, 60)]


@pytest.mark.parametrize(
    ("text", "words"),
    [("4-6", "is not like '4~6'"), ("4~63", "leaves the 63 channels"), ("6~4", "leaves"), ("3~6;6~9", "twice")],
)
def test_a_wrong_selection_names_what_is_wrong(text, words):
    with pytest.raises(BadConfig, match=words):
        selected_channels(text, 63)


def test_averages_never_reach_across_ranges():
    bins = channel_bins([range(1, 4), range(6, 11)], 2, 12)
    assert bins.tolist() == [-1, 0, 0, 1, -1, -1, 2, 2, 3, 3, 4, -1]


def test_average_width_loses_what_it_says():
    freq, baseline, dish = 1.4e9, 800.0, 4.65
    width = average_width(1e4, freq, baseline, dish) * 1e4
    radius = 0.515 * 299792458.0 / freq / dish
    loss = 1 - np.sinc(width * baseline * radius / 299792458.0)
    assert 0.98 * SMEARING_LOSS < loss < SMEARING_LOSS
    assert average_width(1e9, freq, baseline, dish) == 1
