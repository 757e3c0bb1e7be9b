from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvh5 import channel_hz

from contimg_ingest.cluster import cluster, inspect, missing_words
from contimg_ingest.policy import IngestPolicy, Reason
from contimg_ingest.uvh5 import Header

STEP = 309.2376 / 86400
POLICY = IngestPolicy()


def head(subband, time=2461066.0, stamp="2026-01-25T22:26:05", **changes):
    name = f"{stamp}_sb{subband:02d}.hdf5" if subband is not None else "whole.uvh5"
    values = {
        "path": Path(name),
        "telescope": "OVRO_MMA",
        "subband": subband,
        "first_jd": time,
        "last_jd": time + 23 * 12.884902 / 86400,
        "integration_s": 12.884902,
        "integrations": 24,
        "rows": 24,
        "app_dec_deg": 16.15,
        "freq_hz": float(channel_hz(subband or 0, 48)[0]),
        "step_hz": -244140.625,
        "channels": 48,
    }
    return Header(**(values | changes))


def content(path):
    return f"1 {path}"


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 4), st.floats(0, 6.4))
def test_sets_come_out_whole_in_any_order(random, count, jitter):
    """Recordings one after another; inside a set times agree within half an integration of the first."""
    heads = []
    for n in range(count):
        heads += [head(s, 2461066.0 + n * STEP + random.uniform(0, jitter) / 86400) for s in range(16)]
    random.shuffle(heads)
    sets = cluster(heads)
    assert [len(each) for each in sets] == [16] * count
    assert all(sorted(h.subband for h in each) == list(range(16)) for each in sets)


def test_names_do_not_matter():
    one = [head(s, stamp="2026-01-25T22:26:05") for s in range(8)]
    two = [head(s, stamp="2026-01-25T22:27:27") for s in range(8, 16)]
    assert [len(each) for each in cluster(one + two)] == [16]


def test_whole_files_and_telescopes_stand_alone():
    heads = [head(None), head(None, path=Path("b.uvh5")), head(0), head(1, telescope="VLA")]
    assert sorted(len(each) for each in cluster(heads)) == [1, 1, 1, 1]


def test_wrong_frequency_is_found():
    heads = [head(s) for s in range(15)] + [head(15, freq_hz=1.4e9)]
    found = inspect(heads, POLICY, content)
    (error,) = found.refused.values()
    assert error.reason is Reason.WRONG_FREQUENCY
    assert found.missing(16) == [15]


def test_any_even_spacing_of_subbands_is_accepted():
    """Narrow channels with gaps between subbands, or an ascending band, are not ingest's business."""
    heads = [head(s, freq_hz=1.3e9 + s * 5e6) for s in range(16)]
    assert not inspect(heads, POLICY, content).refused


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("rows", 23, Reason.WRONG_SHAPE), ("channels", 47, Reason.WRONG_SHAPE), ("app_dec_deg", 17.0, Reason.MIXED_DEC)],
)
def test_odd_one_is_refused_and_the_majority_kept(field, value, reason):
    found = inspect([head(s) for s in range(15)] + [head(15, **{field: value})], POLICY, content)
    assert [error.reason for error in found.refused.values()] == [reason]
    assert len(found.files) == 15


def test_without_a_majority_nobody_is_believed():
    heads = [head(s, app_dec_deg=16.15 if s % 2 else 20.0) for s in range(16)]
    found = inspect(heads, POLICY, content)
    assert not found.files
    assert len(found.refused) == 16
    assert "its file set disagrees with itself" in str(next(iter(found.refused.values())))


def test_words_for_what_is_missing():
    assert missing_words(13, 16, [3, 7, 9]) == "13 of 16 subbands, missing sb03, sb07, sb09"
    assert missing_words(16, 16, []) == "16 of 16 subbands"
