from __future__ import annotations

import shutil

import numpy as np
import pytest
from casacore.tables import makearrcoldesc, table
from gain_bench import ANTENNAS, FREQS, TARGET, write_scan

from contimg.errors import ResourceExhausted
from contimg.radio.ms.edit import add_model, copy, edited, rename
from contimg.radio.ms.read import open_recording


@pytest.fixture
def path(tmp_path):
    return write_scan(tmp_path / "t.ms", "t", TARGET, [(*TARGET, 1.0)], np.ones((len(FREQS), 2, ANTENNAS)))


def column(path, name):
    with table(str(path), ack=False) as opened:
        return opened.getcol(name)


def test_copy_drops_stale_columns_and_is_writable(path, tmp_path):
    source = tmp_path / "s.ms"
    shutil.copytree(path, source)
    with table(str(source), readonly=False, ack=False) as opened:
        opened.addcols(makearrcoldesc("MODEL_DATA", 0j, ndim=2, valuetype="complex"))
    for each in (source, *source.rglob("*")):
        each.chmod(0o555 if each.is_dir() else 0o444)
    copy(source, tmp_path / "c.ms")
    with table(str(tmp_path / "c.ms"), readonly=False, ack=False) as opened:
        assert "MODEL_DATA" not in opened.colnames()
    assert all(path.stat().st_mode & 0o200 for path in (tmp_path / "c.ms").rglob("*"))


def test_copy_that_fails_may_be_tried_again(tmp_path):
    with pytest.raises(ResourceExhausted, match="cannot copy"):
        copy(tmp_path / "absent.ms", tmp_path / "c.ms")


@pytest.mark.parametrize("block_bytes", [5_000, 1 << 27])
def test_blocks_are_replaced_where_they_were(path, block_bytes):
    before = column(path, "DATA")
    with edited(open_recording(path)) as ms:
        for block in ms.blocks(block_bytes):
            block.vis[:] *= 2
            block.flag[::2] = True
            ms.put(block)
        assert ms.rows == len(before)
    assert np.array_equal(column(path, "DATA"), 2 * before)
    assert column(path, "FLAG")[0].all()


def test_sigma_follows_the_weight(path):
    weight = np.zeros(column(path, "WEIGHT").shape, np.float32)
    weight[1:] = 4
    with edited(open_recording(path)) as ms:
        sigma = ms.put_weight(weight)
    assert np.array_equal(column(path, "WEIGHT"), weight)
    assert np.array_equal(column(path, "SIGMA"), sigma)
    assert (sigma[0] == 0).all()
    assert (sigma[1:] == 0.5).all()


def test_model_is_written_block_by_block_once_or_again(path):
    shape = column(path, "DATA").shape
    for value in (1, 2):
        model = np.full(shape, value, np.complex64)
        add_model(path, iter([model[:5], model[5:]]))
        assert np.array_equal(column(path, "MODEL_DATA"), model)


def test_names_for_casa(path):
    names = column(path / "ANTENNA", "NAME")
    rename(path, "A", "field1", 7)
    assert column(path / "ANTENNA", "NAME") == ["A" + name for name in names]
    assert set(column(path / "FIELD", "NAME")) == {"field1"}
    assert set(column(path, "SCAN_NUMBER")) == {7}
