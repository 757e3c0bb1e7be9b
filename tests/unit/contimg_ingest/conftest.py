from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from uvh5 import Recording, write_set

from contimg.models.fact import IngestFact
from contimg.models.observation import ObservationRecord
from contimg.models.survey import FileSetRules
from contimg.radio.casa import casadata_path
from contimg.volume.layout import Layout
from contimg_ingest.scan import Scanner

NOW = datetime(2026, 1, 26, tzinfo=UTC)
SMALL = Recording(integrations=2, names=("1", "51", "101"), channels=2)


class Site:
    """Incoming directories with a clock; a new scanner is a restarted service."""

    def __init__(self, top, roots=("incoming",)):
        several = ":".join(str(top / name) for name in roots)
        self.layout = Layout(top / "stage", top, {"CONTIMG_INCOMING_DIR": several})
        for root in self.layout.incoming_roots:
            root.mkdir()
        self.now = NOW
        self.restart()

    @property
    def incoming(self):
        return self.layout.incoming

    @property
    def observations(self):
        return self.layout.observations

    @property
    def quarantine(self):
        return self.layout.quarantine

    @property
    def fact(self):
        """What the keeper would read."""
        return IngestFact.model_validate_json(self.layout.ingest_fact.read_bytes())

    def rules(self, instrument="dsa110", **rules):
        self.layout.ingest_rules.parent.mkdir(parents=True, exist_ok=True)
        text = FileSetRules(**rules).model_dump_json(by_alias=True)
        self.layout.ingest_rules.write_text(f'{{"{instrument}": {text}}}')

    def restart(self, *, one_shot=False):
        self.scanner = Scanner(self.layout, one_shot=one_shot)

    def scan(self, minutes=0.0):
        self.now += timedelta(minutes=minutes)
        return self.scanner.scan(self.now)

    def records(self):
        """Every record on disk, in time order."""
        paths = self.observations.glob("*/*.json")
        found = [ObservationRecord.model_validate_json(path.read_bytes()) for path in paths]
        return sorted(found, key=lambda record: record.start)

    def put(self, path, name=None, root=0):
        """Copy a file in as if it had just been written."""
        target = self.layout.incoming_roots[root] / (name or path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        os.utime(target, (self.now.timestamp(), self.now.timestamp()))
        return target

    def touch(self, path):
        os.utime(path, (self.now.timestamp(), self.now.timestamp()))


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


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
