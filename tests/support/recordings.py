"""Fixtures: one small recording as UVH5 files, spoilt and whole, and as read; the UVFITS file of casadata."""

from __future__ import annotations

import shutil

import pytest
from uvh5 import Recording, write_set

from contimg.radio.casa import casadata_path
from contimg_convert import assemble

NAMES = ("1", "9", "33", "47", "71", "101")


@pytest.fixture(scope="session")
def recording():
    return Recording(names=NAMES, channels=4)


@pytest.fixture(scope="session")
def originals(recording, tmp_path_factory):
    """Sixteen files of the true layout with one source to the north-east; do not change them."""
    return write_set(tmp_path_factory.mktemp("set"), recording)


@pytest.fixture
def subbands(originals, tmp_path):
    """A copy to spoil."""
    return [shutil.copyfile(path, tmp_path / path.name) for path in originals]


@pytest.fixture(scope="session")
def reference(originals):
    """The original as read; do not change it."""
    return assemble.read(originals, 16)


@pytest.fixture
def data(originals):
    return assemble.read(originals, 16)


@pytest.fixture(scope="session")
def ngc5921():
    return casadata_path() / "demo" / "NGC5921.fits"
