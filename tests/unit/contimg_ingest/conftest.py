from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from uvh5 import Recording, write_set

from contimg.radio.casa import casadata_path
from contimg_ingest.policy import IngestPolicy
from contimg_ingest.scan import Scanner

NOW = datetime(2026, 1, 26, tzinfo=UTC)
SMALL = Recording(integrations=2, names=("1", "51", "101"), channels=2)


class Site:
    """An incoming directory with a clock; a new scanner is a restarted service."""

    def __init__(self, top, policy):
        names = ("incoming", "observations", "quarantine")
        self.incoming, self.observations, self.quarantine = (top / name for name in names)
        self.incoming.mkdir()
        self.policy = policy
        self.now = NOW
        self.restart()

    def restart(self, *, one_shot=False):
        self.scanner = Scanner(self.incoming, self.observations, self.quarantine, self.policy, one_shot=one_shot)

    def scan(self, minutes=0.0):
        self.now += timedelta(minutes=minutes)
        return self.scanner.scan(self.now)

    def put(self, path, name=None):
        """Copy a file in as if it had just been written."""
        target = self.incoming / (name or path.name)
        shutil.copyfile(path, target)
        os.utime(target, (self.now.timestamp(), self.now.timestamp()))
        return target

    def touch(self, path):
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, IngestPolicy())


@pytest.fixture(scope="session")
def subbands(tmp_path_factory):
    """Sixteen subband files of one recording."""
    return write_set(tmp_path_factory.mktemp("subbands"), SMALL)


@pytest.fixture(scope="session")
def other_dec(tmp_path_factory):
    """The same recording at another declination, one file."""
    recording = Recording(integrations=2, names=("1", "51", "101"), channels=2, app_dec_deg=20.0, subbands=(5,))
    return write_set(tmp_path_factory.mktemp("other"), recording)[0]


@pytest.fixture(scope="session")
def ngc5921() -> Path:
    return casadata_path() / "demo" / "NGC5921.fits"
