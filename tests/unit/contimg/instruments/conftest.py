from __future__ import annotations

import pytest
from recordings import ngc5921
from uvh5 import Recording, write_set

__all__ = ["ngc5921", "subbands"]


@pytest.fixture(scope="session")
def subbands(tmp_path_factory):
    """Sixteen subband files of one recording; not to be changed."""
    recording = Recording(integrations=2, names=("1", "51", "101"), channels=2)
    return write_set(tmp_path_factory.mktemp("subbands"), recording)
