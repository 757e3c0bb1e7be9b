"""Files made to mislead: links that lead away, arrays that are only claimed."""

from __future__ import annotations

import os
import resource

import h5py
import numpy as np
import pytest
from uvh5 import Recording, write_set

from contimg.errors import BadInput
from contimg.radio import hdf5
from contimg.radio.uvh5.read import read_header


@pytest.fixture
def one(tmp_path):
    (tmp_path / "incoming").mkdir()
    small = Recording(integrations=2, names=("1", "51", "101"), channels=2, subbands=(3,))
    return write_set(tmp_path / "incoming", small)[0]


@pytest.fixture
def secret(tmp_path):
    """A file that must not be read."""
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["visdata"] = np.ones((12, 1, 2, 2), np.complex64)
        file["Data/visdata"] = np.ones((12, 1, 2, 2), np.complex64)
    return tmp_path / "secret.hdf5"


def external_dataset(file, secret):
    del file["Data/visdata"]
    file["Data/visdata"] = h5py.ExternalLink(str(secret), "/visdata")


def external_group(file, secret):
    del file["Data"]
    file["Data"] = h5py.ExternalLink(str(secret), "/Data")


def soft_through_external(file, secret):
    del file["Data/visdata"]
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/")
    file["Data/visdata"] = h5py.SoftLink("/elsewhere/visdata")


def virtual(file, secret):
    del file["Data/visdata"]
    layout = h5py.VirtualLayout((12, 1, 2, 2), np.complex64)
    layout[:] = h5py.VirtualSource(str(secret), "visdata", (12, 1, 2, 2))
    file.create_virtual_dataset("Data/visdata", layout)


def raw_storage(file, secret):
    del file["Data/visdata"]
    file["Data"].create_dataset("visdata", (12, 1, 2, 2), np.complex64, external=[(str(secret), 0, 384)])


@pytest.mark.parametrize("change", [external_dataset, external_group, soft_through_external, virtual, raw_storage])
def test_what_leads_outside_is_refused(one, secret, change):
    with h5py.File(one, "a") as file:
        change(file, secret)
    with pytest.raises(BadInput, match=r"sb03\.hdf5: .*(Data|elsewhere).* .*secret\.hdf5.* outside the file") as caught:
        read_header(one, 16)
    assert caught.value.reason == "link"


def test_link_inside_the_file_is_followed(one):
    with h5py.File(one, "a") as file:
        file["Data/real"] = file["Data/visdata"][()]
        del file["Data/visdata"]
        file["Data/visdata"] = h5py.SoftLink("/Data/real")
    assert read_header(one, 16).rows == 12


def test_groups_in_a_ring_end(one):
    with h5py.File(one, "a") as file:
        file["Data/ring"] = file["/"]
    assert read_header(one, 16).rows == 12


def test_million_claimed_integrations_take_no_memory(one):
    """No chunk is written, so that the file is small; believed, the arrays would take 1.3 TB."""
    rows = 6 * 10**9
    with h5py.File(one, "a") as file:
        for name, shape, kind in (("time_array", (rows,), float), ("uvw_array", (rows, 3), np.float32)):
            del file[f"Header/{name}"]
            file["Header"].create_dataset(name, shape, kind, chunks=(1024, *shape[1:]), fillvalue=2461066.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match=r"/Header/\w+_array claims shape \(6000000000.* more than a file of \d+ bytes"):
        read_header(one, 16)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_chunk_larger_than_the_file_can_hold_is_refused(one):
    with h5py.File(one, "a") as file:
        file["Data"].create_dataset("big", (8,), float, maxshape=(None,), chunks=(10**8,), compression="gzip")
    with pytest.raises(BadInput, match="/Data/big claims"):
        read_header(one, 16)


def test_too_many_objects_are_refused(one, monkeypatch):
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 20)
    with pytest.raises(BadInput, match="more than 20 HDF5 objects"):
        read_header(one, 16)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.mknod(path, 0o140644)])
def test_only_regular_files_are_opened(tmp_path, make):
    path = tmp_path / "2026-01-25T22:26:05_sb03.hdf5"
    make(path)
    with pytest.raises((BadInput, OSError)), hdf5.opened(path):
        pass


def test_compressed_noise_is_read(tmp_path):
    noise = np.random.default_rng(0).normal(size=(500, 4000)).astype(np.float32)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file.create_dataset("a", data=noise, compression="gzip", chunks=(10, 4000))
        file.create_dataset("zeros", data=np.zeros(noise.shape, bool), compression="gzip", chunks=(10, 4000))
    with hdf5.opened(tmp_path / "x.hdf5") as file:
        assert np.array_equal(file["a"][()], noise)
