from __future__ import annotations

import pytest
from keeper_site import Site

from contimg.volume.layout import Layout


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout(tmp_path / "stage", tmp_path / "data")


@pytest.fixture
def site(layout) -> Site:
    return Site(layout)
