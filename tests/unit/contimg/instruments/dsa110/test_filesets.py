from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvh5 import channel_hz

from contimg.errors import BadInput
from contimg.instruments import telescope
from contimg.instruments.dsa110.filesets import cluster, file_set, piece_of
from contimg.models.instrument import Piece
from contimg.radio.coordinates import isot, utc
from contimg.radio.uvh5.read import Header

STEP = 309.2376 / 86400


def head(subband, time=2461066.0, stamp="2026-01-25T22:26:05", app_dec_deg=16.15, **changes):
    name = f"{stamp}_sb{subband:02d}.hdf5" if subband is not None else "whole.uvh5"
    values = {
        "path": Path(name),
        "telescope": "OVRO_MMA",
        "subband": subband,
        "first_jd": time,
        "last_jd": time + 23 * 12.884902 / 86400,
        "integration_s": 12.884902,
        "integrations": 24,
        "app_dec_rad": np.radians(app_dec_deg),
        "rows": 24,
        "freq_hz": float(channel_hz(subband or 0, 48)[0]),
        "channels": 48,
    }
    found = Header(**(values | changes))
    return Piece(found.path, found.role, isot(found.start_jd), utc(found.start_jd), found)


def inspect(pieces):
    return file_set(pieces, 16, 16)


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
    assert all(sorted(h.header.subband for h in each) == list(range(16)) for each in sets)


def test_names_do_not_matter():
    one = [head(s, stamp="2026-01-25T22:26:05") for s in range(8)]
    two = [head(s, stamp="2026-01-25T22:27:27") for s in range(8, 16)]
    assert [len(each) for each in cluster(one + two)] == [16]


def test_whole_files_stand_alone_and_copies_of_one_together():
    heads = [head(None), head(None, path=Path("b.uvh5")), head(0), head(None, path=Path("c.uvh5"), first_jd=2461066.1)]
    assert sorted(len(each) for each in cluster(heads)) == [1, 1, 2]


def test_wrong_frequency_is_found():
    heads = [head(s) for s in range(15)] + [head(15, freq_hz=1.4e9)]
    found = inspect(heads)
    (error,) = found.refused.values()
    assert error.reason == "wrong-frequency"
    assert found.missing == ("sb15",)


def test_any_even_spacing_of_subbands_is_accepted():
    """Narrow channels with gaps between subbands, or an ascending band, are not ingest's business."""
    heads = [head(s, freq_hz=1.3e9 + s * 5e6) for s in range(16)]
    assert not inspect(heads).refused


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [("rows", 23, "wrong-shape"), ("channels", 47, "wrong-shape"), ("app_dec_deg", 17.0, "mixed-dec")],
)
def test_odd_one_is_refused_and_the_majority_kept(field, value, reason):
    found = inspect([head(s) for s in range(15)] + [head(15, **{field: value})])
    assert [error.reason for error in found.refused.values()] == [reason]
    assert len(found.pieces) == 15


def test_without_a_majority_nobody_is_believed():
    heads = [head(s, app_dec_deg=16.15 if s % 2 else 20.0) for s in range(16)]
    found = inspect(heads)
    assert not found.pieces
    assert len(found.refused) == 16
    assert "its file set disagrees with itself" in next(iter(found.refused.values())).sentence


def test_a_set_says_what_it_expects_and_when_it_is_the_same_recording():
    found = file_set([head(3), head(1)], 4, 3)
    assert found.expected == ("sb00", "sb01", "sb02", "sb03")
    assert found.missing == ("sb00", "sb02")
    assert (found.least, found.tolerance_s) == (3, 12.884902 / 2)
    assert [piece.role for piece in found.pieces] == ["sb01", "sb03"]


def test_a_whole_band_file_is_a_set_of_its_own_whatever_is_asked_for():
    found = file_set([head(None)], 16, 12)
    assert (found.expected, found.missing, found.least) == (("all",), (), 1)


def test_a_subband_that_a_smaller_set_does_not_have_is_refused():
    found = file_set([head(s) for s in range(5)], 4, 4)
    (refused,) = found.refused.values()
    assert refused.reason == "out-of-bounds"
    assert "sb04.hdf5 names a subband that a set of 4 does not have (sb00 to sb03); mend the name" in refused.sentence
    assert not found.missing


def test_copies_of_one_role_stay_for_the_watcher_to_compare():
    found = inspect([head(0), head(0, path=Path("copy_sb00.hdf5")), head(1)])
    assert [piece.role for piece in found.pieces] == ["sb00", "sb00", "sb01"]


def test_a_file_of_another_telescope_is_not_ours(subbands):
    with pytest.raises(BadInput, match="is of telescope 'OVRO_MMA', which no instrument here knows") as caught:
        piece_of(subbands[0], telescope("vla"), 16)
    assert caught.value.reason == "unknown-telescope"


def test_a_file_says_its_part_and_the_time_of_the_data(subbands):
    piece = piece_of(subbands[7], telescope("dsa110"), 16)
    assert (piece.role, piece.id) == ("sb07", "2026-01-25T22:25:54")
    assert abs((piece.start - utc(piece.header.start_jd)).total_seconds()) < 1e-3
