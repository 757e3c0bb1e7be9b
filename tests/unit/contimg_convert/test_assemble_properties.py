"""Any subset of the subbands, in any order, gives the same band: ascending, at its place, the rest flagged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.errors import BadInput
from contimg_convert import assemble

CHANNELS = 4


@settings(max_examples=6, deadline=None)
@given(chosen=st.lists(st.integers(0, 15), min_size=1, max_size=5, unique=True))
def test_missing_subbands_change_nothing_but_flags(reference, originals, chosen):
    found = assemble.read([originals[n] for n in chosen], 16)
    assert (np.diff(found.freq_hz) > 0).all()
    np.testing.assert_allclose(found.freq_hz, reference.freq_hz, rtol=1e-12)
    assert (found.weight >= 0).all()
    present = np.zeros(16 * CHANNELS, bool)
    for subband in chosen:  # sb00 is the highest
        present[(15 - subband) * CHANNELS : (16 - subband) * CHANNELS] = True
    assert found.flag[:, ~present].all()
    assert np.array_equal(found.flag[:, present], reference.flag[:, present])
    np.testing.assert_allclose(found.vis[:, present], reference.vis[:, present], atol=1e-5)


def test_the_order_of_the_files_does_not_matter(reference, originals):
    turned = assemble.read(originals[::-1], 16)
    for name in ("vis", "flag", "weight", "uvw_m", "time_jd", "freq_hz", "antenna1", "antenna2"):
        assert np.array_equal(getattr(turned, name), getattr(reference, name)), name


def test_no_file_is_used_twice(originals):
    with pytest.raises(BadInput, match="sb03"):
        assemble.read([originals[3], originals[3]], 16)
