"""What all tests share: hypothesis profiles, and no CONTIMG_ variable of the person who runs them."""

from __future__ import annotations

import os
import sqlite3  # noqa: F401 - before CASA, which brings an older library of its own

import profiles  # noqa: F401 - registers and loads the hypothesis profile
import pytest


@pytest.fixture(autouse=True)
def _no_variables_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CONTIMG_"):
            monkeypatch.delenv(name)
